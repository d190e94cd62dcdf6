// Buttons beside a field copy it. Without this script the field can be selected and copied by hand.
if (!globalThis.relayCopies) {
  globalThis.relayCopies = true;
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    const field = document.getElementById(button.dataset.copy);
    const words = button.firstElementChild;
    const before = words.textContent;
    let said = button.dataset.done;
    try {
      await navigator.clipboard.writeText(field.value);
    } catch {
      field.focus();
      field.select();
      said = button.dataset.failed;
    }
    if (before === button.dataset.done || before === button.dataset.failed) return;
    words.textContent = said;
    setTimeout(() => { words.textContent = before; }, 3000);
  });
}
