// Where people type: sending, growing, and what could come next.
import { act, boot, place } from "./talk.js";

export async function send(form) {
  const field = form.querySelector("textarea");
  const text = field.value.trim();
  if (!text) return;
  field.value = "";
  typing(field);
  const slash = text.startsWith("/") && !form.dataset.threadTs;
  const answer = await act(slash ? "command" : "say", { channel: place.channel, text, thread_ts: form.dataset.threadTs });
  if (!answer.ok) { field.value ||= text; typing(field); }
  else if (!slash) { const pane = form.parentElement.querySelector(".pane"); pane.scrollTop = pane.scrollHeight; }
}

export function typing(field) {
  field.style.height = "auto";
  field.style.height = `${field.scrollHeight}px`;
  field.form.classList.toggle("ready", field.value.trim() !== "");
  offer(field);
}

// What could come next: commands, then their usage; people and channels at the last word.
function offers(text) {
  if (text.startsWith("/")) {
    const command = boot.commands.find((c) => text.startsWith(`${c.text} `));
    if (!command) return boot.commands.filter((c) => c.text.startsWith(text)).map((c) => ({ ...c, insert: `${c.text} `, from: 0 }));
    const typed = text.slice(command.text.length + 1);
    return command.usage.split(" | ").map((u) => u.trim()).filter((u) => u.startsWith(typed) && u !== typed)
      .map((u) => ({ text: `${command.text} ${u}`, about: "", insert: `${command.text} ${u.replace(/[<[].*$/, "")}`, from: 0 }));
  }
  const word = text.match(/(^|\s)([@#][\w-]*)$/)?.[2];
  if (!word) return [];
  return boot.names.filter((n) => n.text.toLowerCase().startsWith(word.toLowerCase()) && n.text !== word)
    .map((n) => ({ ...n, insert: `${n.text} `, from: text.length - word.length }));
}
function offer(field) {
  const list = field.form.querySelector(".suggestions");
  const found = offers(field.value).slice(0, 9);
  list.replaceChildren(...found.map((one, n) => {
    const item = document.createElement("li");
    item.setAttribute("role", "option");
    item.setAttribute("aria-selected", String(n === 0));
    const name = document.createElement("b"), about = document.createElement("small");
    name.textContent = one.text;
    about.textContent = one.about ?? "";
    item.append(name, about);
    item.take = () => { field.value = field.value.slice(0, one.from) + one.insert; field.focus(); typing(field); };
    item.addEventListener("pointerdown", (e) => { e.preventDefault(); item.take(); });
    return item;
  }));
  list.hidden = found.length === 0;
}
document.addEventListener("keydown", (event) => {
  const field = event.target;
  if (!field.matches?.(".composer textarea")) return;
  const list = field.form.querySelector(".suggestions");
  const items = [...list.children], chosen = items.findIndex((i) => i.getAttribute("aria-selected") === "true");
  if (!list.hidden && ["ArrowDown", "ArrowUp"].includes(event.key)) {
    event.preventDefault();
    const next = (chosen + (event.key === "ArrowDown" ? 1 : items.length - 1)) % items.length;
    items.forEach((item, n) => item.setAttribute("aria-selected", String(n === next)));
    items[next].scrollIntoView({ block: "nearest" });
  } else if (!list.hidden && event.key === "Tab") { event.preventDefault(); items[chosen].take(); }
  else if (!list.hidden && event.key === "Escape") { event.preventDefault(); list.hidden = true; }
  else if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    const partial = !list.hidden && offers(field.value)[0]?.from === 0 && !field.value.includes(" ");
    if (partial && items[chosen]) items[chosen].take(); else { list.hidden = true; send(field.form); }
  }
});
