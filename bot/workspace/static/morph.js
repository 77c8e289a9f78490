// New HTML into a living page: what did not change stays the very same node, so that a press, the focus, an open menu
// and what somebody typed outlive every re-render.

// Set by the page or by a person, not by the server: left alone.
const OURS = new Set(["open", "aria-busy", "data-touched"]);
const MARKS = ["arrived", "tapped", "chosen"];

function key(node) {
  if (node.nodeType !== Node.ELEMENT_NODE) return node.nodeName;
  const { action, value, inputBlock, block } = node.dataset;
  if (node.id) return `#${node.id}`;
  if (inputBlock) return `block ${inputBlock}`;
  if (action) return `${node.nodeName} ${node.dataset.input === undefined ? "" : block} ${action} ${value ?? ""}`;
  const marks = [...node.classList].filter((c) => !MARKS.includes(c)).join(" ");
  return `${node.nodeName} ${marks}`;
}

// Make `old` show what `fresh` shows. Both are elements of one kind; `fresh` is used up.
export function morph(old, fresh) {
  attributes(old, fresh);
  children(old, fresh);
}

function attributes(old, fresh) {
  const mine = MARKS.filter((c) => old.classList.contains(c));
  for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name) && !OURS.has(name)) old.removeAttribute(name);
  for (const { name, value } of fresh.attributes) if (!OURS.has(name) && old.getAttribute(name) !== value) old.setAttribute(name, value);
  old.classList.add(...mine);
}

// The children of `old` become those of `fresh`, matched by key and in order among equal keys.
export function children(old, fresh) {
  const known = grouped(old.childNodes);
  const next = [...fresh.childNodes].map((wanted) => {
    const kept = known.get(key(wanted))?.shift();
    if (!kept) return wanted;
    if (kept.nodeType !== Node.ELEMENT_NODE) { if (kept.data !== wanted.data) kept.data = wanted.data; }
    else if (!kept.isEqualNode(wanted)) morph(kept, wanted);
    return kept;
  });
  for (const gone of [...known.values()].flat()) gone.remove();
  let at = old.firstChild;
  for (const node of next) {
    if (node === at) at = at.nextSibling;
    else old.insertBefore(node, at);
  }
}

function grouped(nodes) {
  const found = new Map();
  for (const node of nodes) found.set(key(node), [...(found.get(key(node)) ?? []), node]);
  return found;
}

// A fragment's nodes under one parent.
export function parsed(html) {
  const box = document.createElement("div");
  box.innerHTML = html;
  return box;
}

// ---- nothing moves under a finger

let release, held = Promise.resolve();
addEventListener("pointerdown", () => {
  held = new Promise((done) => { release = done; setTimeout(done, 1500); });
}, true);
// The click comes after the pointer went up: let it through first.
for (const up of ["pointerup", "pointercancel"]) addEventListener(up, () => setTimeout(() => release?.()), true);

// Resolves when no pointer is down (or has been for long: a press is short).
export const still = () => held;
