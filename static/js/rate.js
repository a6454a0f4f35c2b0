// One keystroke rates: a key presses the button that names it. A click that began before the answer on
// screen was painted, or is part of a double click, rates nothing.

import { isMeant, shown } from "./stray_clicks.js";

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
    const button = event.target.closest("#rating [data-key]");
    if (!button) return;
    // What was swapped in may be painted before htmx has taken it over: sent by itself, the form
    // would lead away from the page.
    if (isMeant(event)) return void window.htmx.process(button.form);
    event.preventDefault();
    event.stopPropagation();
  },
  true,
);
