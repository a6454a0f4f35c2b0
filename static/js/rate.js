// One keystroke rates: a key presses the button that names it. A click that began before the answer on
// screen was painted, or is part of a double click, rates nothing.

import { isMeant, shown } from "./presses.js";

document.addEventListener("keydown", (event) => {
  if (event.repeat || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest("input:not([type=hidden]), select, textarea, dialog")) return;
  const key = CSS.escape(event.key.toLowerCase());
  const button = document.querySelector(`#rating [data-key="${key}"]:not(:disabled)`);
  if (!button) return;
  event.preventDefault();
  button.click();
});

document.addEventListener("htmx:afterSwap", shown);
addEventListener(
  "click",
  (event) => {
    if (!event.target.closest("#rating [data-key]") || isMeant(event)) return;
    event.preventDefault();
    event.stopPropagation();
  },
  true,
);
