// Makes every picture frame of a page zoomable.
import { Viewer } from "./viewer.js";

for (const frame of document.querySelectorAll("[data-viewer]")) new Viewer(frame);
