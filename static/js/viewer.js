/*
 * A picture that fits its frame first, then zooms by wheel, pinch, buttons, a click or a key, and
 * moves by dragging. Positions are in pixels of the frame; scale 1 is "fits".
 */

import { gettext } from "./texts.js";

const LARGEST = 12;

export class Viewer {
  constructor(frame) {
    this.frame = frame;
    this.image = frame.querySelector("img");
    this.level = frame.querySelector("[data-zoom-level]");
    this.pointers = new Map();
    this.reset();
    frame.addEventListener("wheel", (event) => this.onWheel(event), { passive: false });
    frame.addEventListener("pointerdown", (event) => this.onDown(event));
    frame.addEventListener("pointermove", (event) => this.onMove(event));
    for (const name of ["pointerup", "pointercancel"]) frame.addEventListener(name, (event) => this.onUp(event));
    frame.querySelector(".viewer-tools").addEventListener("click", (event) => this.onTool(event));
    this.image.addEventListener("error", () => this.onError());
    if (this.image.complete && this.image.naturalWidth === 0) this.onError();
  }

  reset() {
    [this.scale, this.x, this.y] = [1, 0, 0];
    this.apply();
  }

  /** The key: from fitting to twice and a half as large, and back. */
  toggle(at = this.centre()) {
    if (this.scale > 1) this.reset();
    else this.zoomTo(2.5, at);
  }

  centre() {
    return { x: this.frame.clientWidth / 2, y: this.frame.clientHeight / 2 };
  }

  zoomTo(scale, at) {
    const next = Math.min(Math.max(scale, 1), LARGEST);
    // The point under the pointer stays where it is.
    this.x = at.x - ((at.x - this.x) / this.scale) * next;
    this.y = at.y - ((at.y - this.y) / this.scale) * next;
    this.scale = next;
    this.apply();
  }

  apply() {
    const { clientWidth: width, clientHeight: height } = this.frame;
    this.x = Math.min(0, Math.max(this.x, width * (1 - this.scale)));
    this.y = Math.min(0, Math.max(this.y, height * (1 - this.scale)));
    const fits = this.scale === 1;
    this.image.style.transform = fits ? "" : `translate(${this.x}px, ${this.y}px) scale(${this.scale})`;
    this.frame.toggleAttribute("data-zoomed", !fits);
    this.level.textContent = fits ? gettext("Fit") : `${Math.round(this.scale * 100)} %`;
  }

  place(event) {
    const box = this.frame.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  }

  onWheel(event) {
    event.preventDefault();
    this.zoomTo(this.scale * Math.exp(-event.deltaY * 0.0016), this.place(event));
  }

  onDown(event) {
    if (event.target.closest("button") || event.button !== 0) return;
    this.pointers.set(event.pointerId, this.place(event));
    this.moved = 0;
    this.frame.setPointerCapture(event.pointerId);
  }

  onMove(event) {
    const before = this.pointers.get(event.pointerId);
    if (!before) return;
    const now = this.place(event);
    const others = [...this.pointers].filter(([id]) => id !== event.pointerId).map(([, place]) => place);
    this.moved += Math.hypot(now.x - before.x, now.y - before.y);
    if (others.length === 1) {
      const [other] = others;
      const ratio = Math.hypot(now.x - other.x, now.y - other.y) / Math.max(Math.hypot(before.x - other.x, before.y - other.y), 1);
      this.zoomTo(this.scale * ratio, { x: (now.x + other.x) / 2, y: (now.y + other.y) / 2 });
    } else if (this.scale > 1) {
      this.x += now.x - before.x;
      this.y += now.y - before.y;
      this.apply();
    }
    this.pointers.set(event.pointerId, now);
  }

  onUp(event) {
    if (!this.pointers.delete(event.pointerId)) return;
    if (event.type === "pointerup" && this.moved < 5 && !this.pointers.size) this.toggle(this.place(event));
  }

  onTool(event) {
    const what = event.target.closest("[data-zoom]")?.dataset.zoom;
    if (what === "in") this.zoomTo(this.scale * 1.5, this.centre());
    if (what === "out") this.zoomTo(this.scale / 1.5, this.centre());
    if (what === "fit") this.reset();
  }

  onError() {
    const words = document.createElement("p");
    words.className = "viewer-failed";
    words.textContent = gettext("This image cannot be shown. Reload the page; if it stays so, skip the comparison with that reason.");
    this.frame.replaceChildren(words);
  }
}
