// Talking to the workspace: who and where this page is, and how it posts.
export const boot = JSON.parse(document.getElementById("boot").textContent);
export const $ = (id) => document.getElementById(id);
export const place = { as: boot.as, channel: boot.channel, home: boot.home, thread: boot.thread };

export async function post(path, body) {
  try {
    const answer = await fetch(path, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ as: place.as, ...body }),
    });
    return await answer.json();
  } catch {
    return { ok: false, error: "The workspace does not answer." };
  }
}

export async function act(what, body) {
  const answer = await post(`/people/${what}`, body);
  if (!answer.ok && answer.error && !answer.confirm) toast(answer.error, true);
  return answer;
}

export function toast(text, bad = false) {
  const box = document.createElement("div");
  box.className = bad ? "toast bad" : "toast";
  box.textContent = text;
  $("toasts").append(box);
  setTimeout(() => box.remove(), 6000);
}

export function query() {
  const found = new URLSearchParams({ as: place.as, channel: place.channel });
  if (place.home) found.set("home", "1");
  if (place.thread) found.set("thread", place.thread);
  return found;
}
