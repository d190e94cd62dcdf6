// Notes that were typed and not saved yet stay in this tab: a visit ends after thirty minutes, and nobody should have to
// write them twice. They go when they are saved or thrown away, and with the tab. Nothing is sent.
(() => {
  const form = document.getElementById("notes");
  const notice = document.getElementById("unsaved");
  const key = `relay-notes-${location.pathname.split("/").pop()}`; // the application, never the link
  let store;
  try {
    store = globalThis.sessionStorage;
    if (notice.dataset.kept !== undefined) store.removeItem(key);
  } catch {
    return; // a browser that keeps nothing
  }
  const stage = form.elements.namedItem("stage")?.value ?? "";
  const texts = () => Array.from(form.querySelectorAll('input[type="text"], textarea'));
  const ticks = () => Array.from(form.querySelectorAll('input[type="radio"]'));
  const found = JSON.parse(store.getItem(key) ?? "null");
  if (found) {
    const differs = texts().some((one, number) => one.value !== found.texts[number]);
    texts().forEach((one, number) => (one.value = found.texts[number]));
    if (found.stage === stage) for (const one of ticks()) one.checked = found.ticks.includes(one.id);
    notice.hidden = !differs;
  }
  const keep = () => {
    const ticked = ticks().filter((one) => one.checked).map((one) => one.id);
    try {
      store.setItem(key, JSON.stringify({ stage, texts: texts().map((one) => one.value), ticks: ticked }));
    } catch {
      // a full store keeps nothing
    }
  };
  form.addEventListener("input", keep);
  document.getElementById("forget")?.addEventListener("submit", () => store.removeItem(key));
})();
