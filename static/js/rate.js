// One keystroke rates: a key presses the button that names it.

document.addEventListener("keydown", (event) => {
  if (event.repeat || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest("input:not([type=hidden]), select, textarea, dialog")) return;
  const key = CSS.escape(event.key.toLowerCase());
  const button = document.querySelector(`#rating [data-key="${key}"]:not(:disabled)`);
  if (!button) return;
  event.preventDefault();
  button.click();
});
