/* Marking words while writing a worked example: the labelling page's marks, on a form of its own. */

import { Marker } from "./marks.js";
import { Viewer } from "./viewer.js";

const page = document.querySelector("[data-example]");
const status = document.getElementById("mark-status");
const marker = new Marker(document.getElementById("span-menu"), (words) => (status.textContent = words));

marker.attach(page);
new Viewer(page.querySelector("[data-viewer]"));
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, textarea, select")) return;
  const begins = event.key.toLowerCase() === "m" && !marker.target;
  if (begins) marker.begin();
  if (begins || marker.onKey(event)) event.preventDefault();
});
