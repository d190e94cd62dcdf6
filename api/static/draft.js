// Keeps what was typed and ticked on this device for a day, and puts it back only when asked to.
// The key is a digest of the link: the link itself is kept nowhere. Never files; nothing is sent.
(async () => {
  if (!globalThis.crypto?.subtle) return;
  let store;
  try {
    store = globalThis.localStorage;
  } catch {
    return;
  }
  if (!store) return;
  const day = 24 * 60 * 60 * 1000;
  const token = location.pathname.split("/")[2] ?? "";
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(token));
  const hex = Array.from(new Uint8Array(digest), (one) => one.toString(16).padStart(2, "0")).join("");
  const key = `relay-draft-${hex}`;
  const form = document.getElementById("form");
  if (!form) {
    store.removeItem(key); // the answer was sent
    return;
  }
  const texts = () => Array.from(form.querySelectorAll('input[type="text"]'));
  const boxes = () => Array.from(form.querySelectorAll('input[type="checkbox"]'));
  const words = form.elements.namedItem("text")?.value ?? "";
  const read = () => {
    try {
      const found = JSON.parse(store.getItem(key));
      return found && Date.now() - found.at < day ? found : null;
    } catch {
      return null;
    }
  };
  const keep = () => {
    const facts = Object.fromEntries(texts().map((one) => [one.id, one.value]));
    const ticks = boxes().filter((one) => one.checked).map((one) => one.id);
    try {
      store.setItem(key, JSON.stringify({ at: Date.now(), words, facts, ticks }));
    } catch {
      // a full or closed store keeps nothing
    }
  };
  const put = (found) => {
    for (const one of texts()) if (typeof found.facts[one.id] === "string") one.value = found.facts[one.id];
    // What was ticked was ticked for the words of that time.
    if (found.words === words) for (const one of boxes()) one.checked = found.ticks.includes(one.id);
  };
  const differs = (found) =>
    texts().some((one) => typeof found.facts[one.id] === "string" && found.facts[one.id] !== one.value) ||
    (found.words === words && boxes().some((one) => found.ticks.includes(one.id) !== one.checked));
  const notice = document.getElementById("draft");
  const found = read();
  if (!found) store.removeItem(key);
  if (found && differs(found)) notice.hidden = false;
  notice.addEventListener("click", (event) => {
    const wish = event.target.dataset?.draft;
    if (!wish) return;
    if (wish === "restore" && found) put(found);
    if (wish === "forget") store.removeItem(key);
    notice.hidden = true;
    form.querySelector("input:not([type=hidden])").focus();
  });
  form.addEventListener("input", keep);
})();
