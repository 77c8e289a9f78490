// The page's script: it acts as a person through /people/* and re-reads what changed.
import { $, act, boot, place, post, query, toast } from "./talk.js";
import { typing, send } from "./composer.js";
import { children, morph, parsed, still } from "./morph.js";

// ---- re-reading panes: one request at a time per pane, the last wish wins

const reading = {};
async function read(pane) {
  if (reading[pane]) { reading[pane].again = true; return reading[pane].done; }
  const turn = (reading[pane] = { again: false });
  turn.done = (async () => {
    do {
      turn.again = false;
      const asked = query().toString();
      const answer = await fetch(`/ui/${pane}?${asked}`).catch(() => null);
      const html = answer?.ok ? await answer.text() : "";
      await still();
      if (answer?.ok && asked === query().toString()) show[pane](html);
      else if (answer?.ok) turn.again = true;
    } while (turn.again);
    delete reading[pane];
  })();
  return turn.done;
}

const show = {
  sidebar: (html) => children($("sidebar"), parsed(html)),
  messages: (html) => { if ($("messages")) follow($("messages"), html); },
  thread: (html) => {
    const pane = $("thread");
    const list = pane.querySelector(".pane");
    pane.hidden = !html;
    if (list && pane.dataset.of === place.thread && html) follow(list, parsed(html).querySelector(".pane").innerHTML);
    else { pane.innerHTML = html; bottom(pane.querySelector(".pane")); }
    pane.dataset.of = place.thread;
  },
  home: (html) => { if ($("home")) children($("home"), parsed(html)); },
  prompts: (html) => { if ($("prompts")) children($("prompts"), parsed(html)); },
  banner: (html) => { $("banner").innerHTML = html; $("banner").hidden = !html; },
  main: (html) => {
    const where = place.home ? "home" : place.channel;
    if ($("main").dataset.of === where) { children($("main"), parsed(html)); return; }
    $("main").dataset.of = where;
    $("main").innerHTML = html;
    bottom($("messages"));
  },
  modal: (html) => showModal(html),
  panel: (html) => children($("panel"), parsed(html)),
};

function bottom(pane) {
  if (pane) pane.scrollTop = pane.scrollHeight;
}

// A message list: new messages arrive visibly, and who reads the end stays at the end.
function follow(pane, html) {
  const low = pane.scrollHeight - pane.scrollTop - pane.clientHeight < 80;
  const known = new Set([...pane.children].map((c) => c.id));
  children(pane, parsed(html));
  if (pane.dataset.live) for (const child of pane.children) if (!known.has(child.id)) child.classList.add("arrived");
  pane.dataset.live = "1";
  if (low) bottom(pane);
}

// ---- going places

function go(changes, push = true) {
  Object.assign(place, changes);
  document.cookie = `as=${place.as}; SameSite=Strict; path=/`;
  const where = `?${query()}`;
  if (push) history.pushState({ ...place }, "", where); else history.replaceState({ ...place }, "", where);
  document.body.classList.remove("listing");
}

async function goChannel(channel) {
  go({ channel, home: false, thread: "" });
  await Promise.all([read("main"), read("thread"), read("sidebar")]);
  seen();
  if (channel.startsWith("D")) post("/people/open_home", { tab: "messages" });
}

async function goHome() {
  go({ home: true, thread: "" });
  await Promise.all([read("main"), read("thread"), read("sidebar")]);
  act("open_home", { tab: "home" });
}

function goThread(ts) {
  go({ thread: ts });
  return read("thread").then(() => $("thread").querySelector("textarea")?.focus({ preventScroll: true }));
}

let lastSeen = "";
function seen() {
  const all = document.querySelectorAll("#messages .message");
  const ts = all[all.length - 1]?.dataset.ts;
  if (!ts || place.home || document.hidden || lastSeen === place.channel + ts) return;
  lastSeen = place.channel + ts;
  post("/people/mark_read", { channel: place.channel, ts });
}

// ---- operating elements

const values = {
  checkboxes: (e) => [...e.querySelectorAll("input:checked")].map((i) => i.value),
  radio_buttons: (e) => e.querySelector("input:checked")?.value ?? "",
  datetimepicker: (e) => { const v = e.querySelector("input").value; return v ? Math.floor(new Date(v) / 1000) : ""; },
};
function valueOf(input) {
  const kind = input.dataset.kind;
  if (kind.startsWith("multi_external")) return input.querySelector("input").value.split(",").map((v) => v.trim()).filter(Boolean);
  if (kind.startsWith("multi_")) return values.checkboxes(input);
  return (values[kind] ?? ((e) => e.querySelector("input, select, textarea")?.value ?? ""))(input);
}
function state(root) {
  const found = {};
  for (const input of root.querySelectorAll("[data-input]")) {
    (found[input.dataset.block] ??= {})[input.dataset.action] = valueOf(input);
  }
  return found;
}

function confirmed(element) {
  if (!element.dataset.confirm) return Promise.resolve(true);
  const ask = JSON.parse(element.dataset.confirm);
  const box = $("ask");
  box.innerHTML = `<form method="dialog"><header><h2>${ask.title}</h2></header><div class="blocks"><p>${ask.text}</p></div>
    <footer><button class="button" value="no">${ask.deny}</button><button class="button ${ask.style}" value="yes" autofocus>${ask.confirm}</button></footer></form>`;
  box.setAttribute("aria-label", ask.label);
  box.returnValue = "";
  box.showModal();
  return new Promise((done) => box.addEventListener("close", () => done(box.returnValue === "yes"), { once: true }));
}

async function press(element, value) {
  const message = element.closest(".message");
  const view = element.closest("[data-view]");
  element.closest("details.overflow")?.removeAttribute("open");
  if (!(await confirmed(element))) return;
  element.setAttribute("aria-busy", "true");
  const where = view && !message
    ? { view_id: view.dataset.view }
    : { channel: message.dataset.messageChannel, ts: message.dataset.ts };
  const answer = await act("click", {
    ...where, action_id: element.dataset.action, block_id: element.dataset.block, value, confirmed: true,
    state: state(message ?? view),
  });
  element.removeAttribute("aria-busy");
  if (answer.stale) ["messages", "thread", "home"].forEach(read);
  if (answer.ok && element.classList.contains("thumb")) {
    element.parentElement.querySelectorAll(".thumb").forEach((e) => e.classList.toggle("chosen", e === element));
    toast("Thanks for the feedback.");
  }
}

document.addEventListener("click", (event) => {
  const on = (selector) => event.target.closest(selector);
  let hit;
  for (const menu of document.querySelectorAll("details.overflow[open]")) if (!menu.contains(event.target)) menu.open = false;
  if ((hit = on("[data-press]"))) { press(hit, hit.dataset.value); return; }
  if ((hit = on("[data-as]"))) { event.preventDefault(); document.cookie = `as=${hit.dataset.as}; SameSite=Strict; path=/`; location.search = new URLSearchParams({ ...Object.fromEntries(query()), as: hit.dataset.as, channel: place.channel.startsWith("D") ? "dm" : place.channel }); return; }
  if (event.metaKey || event.ctrlKey) return;
  if ((hit = on("[data-channel]"))) { event.preventDefault(); goChannel(hit.dataset.channel); return; }
  if (on("[data-home]")) { event.preventDefault(); goHome(); return; }
  if ((hit = on("[data-thread]"))) { goThread(hit.dataset.thread); return; }
  if (on("[data-unthread]")) { go({ thread: "" }); read("thread"); return; }
  if (on("[data-back]") || on("#show-sidebar")) { document.body.classList.toggle("listing"); return; }
  if ((hit = on("[data-react]"))) { const m = hit.closest(".message"); act("react", { channel: m.dataset.messageChannel, ts: m.dataset.ts, name: hit.dataset.react }); return; }
  if ((hit = on("[data-dismiss]"))) { const m = hit.closest(".message"); act("dismiss", { channel: m.dataset.messageChannel, ts: m.dataset.ts }); return; }
  if ((hit = on("[data-prompt]"))) { act("say", { channel: place.channel, text: hit.dataset.prompt }); return; }
  if ((hit = on("[data-close]"))) { closeView(hit.dataset.close === "all"); return; }
  if ((hit = on("[data-zoom]"))) { event.preventDefault(); $("zoom").innerHTML = ""; $("zoom").append(hit.querySelector("img").cloneNode()); $("zoom").showModal(); return; }
  if (on("#zoom")) { $("zoom").close(); return; }
  if (on("[data-shut]")) { on("dialog").close(); return; }
  if ((hit = on("[data-control]"))) { post(`/workspace/${hit.dataset.control}`, {}).then(() => read("panel")); return; }
  if (on("#show-panel")) { read("panel").then(() => $("panel").showModal()); return; }
  if (matchMedia("(hover: none)").matches) {
    const tapped = on(".message");
    document.querySelectorAll(".message.tapped").forEach((m) => m !== tapped && m.classList.remove("tapped"));
    if (tapped && !on("a, button, summary, input, select, textarea, label")) tapped.classList.toggle("tapped");
  }
  if (on("#theme")) { const dark = getComputedStyle(document.documentElement).colorScheme === "dark"; theme(dark ? "light" : "dark"); }
});

document.addEventListener("change", (event) => {
  const input = event.target.closest("[data-input]");
  if (!input) return;
  input.dataset.touched = "";
  if (input.dataset.dispatch !== undefined) press(input, valueOf(input));
});
let asking;
document.addEventListener("input", (event) => {
  const input = event.target.closest("[data-input]");
  if (input) { input.dataset.touched = ""; clearWrong(input); }
  if (event.target.matches("[data-suggest]")) {
    clearTimeout(asking);
    asking = setTimeout(() => suggest(event.target, input), 200);
  }
  if (event.target.matches(".composer textarea")) typing(event.target);
});
async function suggest(field, input) {
  const view = input.closest("[data-view]");
  const answer = await act("suggest", { view_id: view.dataset.view, action_id: input.dataset.action, value: field.value });
  field.list.replaceChildren(...(answer.options ?? []).map((o) => new Option(o.text.text, o.value)));
}

// ---- the modal

function showModal(html) {
  const box = $("modal");
  if (!html) { if (box.open) box.close(); box.innerHTML = ""; return; }
  const before = box.querySelector("form"), next = parsed(html).firstChild;
  const same = before && before.dataset.view === next.dataset.view;
  if (same && before.dataset.hash === next.dataset.hash) return;
  if (same) {
    morph(before, next);
    // A dialog that opened light and is filled now: its first field has the focus, and reading begins at the top.
    if (document.activeElement === document.body || document.activeElement.matches("#modal, #modal [data-close]")) first(before)?.focus({ preventScroll: true });
    return;
  }
  box.replaceChildren(next);
  if (!box.open) box.showModal();
  first(next)?.focus({ preventScroll: true });
}

const first = (form) => form.querySelector("[autofocus], .blocks textarea, .blocks input, .blocks select") ?? form.querySelector("footer .primary") ?? form.querySelector("[data-close]");

function closeView(everything) {
  const view = $("modal").querySelector("form")?.dataset.view;
  if (view) act("close", { view_id: view, everything }).then(() => read("modal"));
}
$("modal").addEventListener("cancel", (event) => { event.preventDefault(); closeView(false); });

function clearWrong(input) {
  const block = input.closest(".invalid");
  block?.classList.remove("invalid");
  block?.querySelector(".wrong")?.remove();
}
function showWrong(form, errors) {
  form.querySelectorAll(".invalid").forEach((b) => clearWrong(b.firstElementChild));
  let first = null;
  for (const [id, said] of Object.entries(errors)) {
    const block = [...form.querySelectorAll("[data-input-block]")].find((b) => b.dataset.inputBlock === id);
    if (!block) { toast(said, true); continue; }
    const line = document.createElement("p");
    line.className = "wrong";
    line.setAttribute("role", "alert");
    line.textContent = said;
    block.classList.add("invalid");
    block.querySelector("[data-input]").after(line);
    first ??= block;
  }
  first?.querySelector("input, textarea, select")?.focus();
}

document.addEventListener("submit", async (event) => {
  const form = event.target;
  if (form.matches("#modal form")) {
    event.preventDefault();
    if ($("modal").getAttribute("aria-busy") === "true") return;
    $("modal").setAttribute("aria-busy", "true");
    const answer = await act("submit", { view_id: form.dataset.view, values: state(form) });
    $("modal").removeAttribute("aria-busy");
    if (answer.errors) showWrong(form, answer.errors); else read("modal");
  } else if (form.matches("#fault")) {
    event.preventDefault();
    const order = Object.fromEntries(new FormData(form));
    const answer = await post("/workspace/faults", { ...order, times: Number(order.times), seconds: Number(order.seconds) });
    if (!answer.ok) toast(answer.error, true);
    read("panel");
  } else if (form.matches(".composer")) {
    event.preventDefault();
    send(form);
  }
});

// ---- what changed elsewhere

function onChange(change) {
  const here = change.channel === place.channel;
  switch (change.kind) {
    case "message":
      if (here && !place.home && (!change.user || change.user === boot.user)) {
        read("messages").then(seen);
        // In the app's direct message an answer in a thread is the conversation: show it.
        if (place.channel.startsWith("D") && !place.thread && change.thread_ts && change.thread_ts !== change.ts) goThread(change.thread_ts);
        else if (place.thread && (change.thread_ts === place.thread || change.ts === place.thread)) read("thread");
      } else if (!here) read("sidebar");
      break;
    case "status": if (here) { read("messages"); if (place.thread === change.thread_ts) read("thread"); } break;
    case "view": if (change.user === boot.user) read("modal"); break;
    case "home": if (change.user === boot.user && place.home) read("home"); break;
    case "prompts": if (here) read("prompts"); break;
    case "banner": read("banner"); break;
    case "channel": case "sockets": case "read": if (!change.user || change.user === boot.user) read("sidebar"); break;
    case "reload": ["sidebar", "main", "thread", "modal", "banner"].forEach(read); break;
  }
  if ($("panel").open && change.kind === "faults") read("panel");
}
const stream = new EventSource(`/events?since=${boot.seq}`);
stream.onmessage = (event) => onChange(JSON.parse(event.data));
stream.onerror = () => document.body.classList.add("lost");
stream.onopen = () => {
  if (document.body.classList.contains("lost")) { document.body.classList.remove("lost"); onChange({ kind: "reload" }); }
};
addEventListener("pagehide", () => stream.close());
addEventListener("popstate", (event) => {
  if (event.state) { Object.assign(place, event.state); ["main", "thread", "sidebar"].forEach(read); }
});
document.addEventListener("visibilitychange", seen);

// ---- start

function theme(name) {
  document.documentElement.dataset.theme = name;
  try { localStorage.setItem("theme", name); } catch { /* private windows have no storage: the choice lasts for this page */ }
}
try { const kept = localStorage.getItem("theme"); if (kept) theme(kept); } catch { /* as above */ }
go({}, false);
$("thread").hidden = !place.thread;
$("thread").dataset.of = place.thread;
$("main").dataset.of = place.home ? "home" : place.channel;
for (const list of [$("messages"), $("replies")]) {
  if (!list) continue;
  list.dataset.live = "1";
  bottom(list);
}
const wanted = new URLSearchParams(location.search).get("at");
if (wanted) document.getElementById(`channel-${wanted}`)?.scrollIntoView({ block: "center" });
if ($("modal").querySelector("form")) $("modal").showModal();
if (place.home) act("open_home", { tab: "home" });
for (const picture of document.querySelectorAll("#messages img")) picture.addEventListener("load", () => bottom($("messages")), { once: true });
seen();
