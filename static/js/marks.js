/*
 * Marking hallucinated words. What is selected is the browser's own selection, made with the
 * mouse, a finger or the keys, and always grown to whole words; a new mark replaces those it
 * overlaps. Offsets are UTF-16 units here, as the browser counts, and code points in the form's
 * field, as the server counts.
 */

import { kindName } from "./mark_kinds.js";
import { gettext } from "./texts.js";

const SETTLE_MS = 250; // a selection made with handles or by a screen reader has no "end" event

function wordsOf(text) {
  if (!Intl.Segmenter) return [...text.matchAll(/\S+/g)].map((at) => ({ start: at.index, end: at.index + at[0].length }));
  return [...new Intl.Segmenter(undefined, { granularity: "word" }).segment(text)]
    .filter((part) => part.isWordLike)
    .map((part) => ({ start: part.index, end: part.index + part.segment.length }));
}

/** Every text node of an element with the offset at which it begins. */
function* textNodes(element) {
  const walker = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
  let start = 0;
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    yield { node, start };
    start += node.length;
  }
}

/** The element as it came, also where marks were drawn when it was on screen before. */
function withoutMarks(element) {
  const copy = element.cloneNode(true);
  for (const mark of copy.querySelectorAll("mark[data-kind]")) mark.replaceWith(...mark.childNodes);
  copy.normalize();
  return copy;
}

/** Formatting signs are no words: nobody sees them, unless the source is shown. */
function notHidden(element) {
  const hidden = new Uint8Array(element.textContent.length);
  for (const { node, start } of textNodes(element)) {
    if (node.parentElement.closest(".md-source")) hidden.fill(1, start, start + node.length);
  }
  return (word) => !hidden[word.start];
}

/** Puts a mark around what a span covers: one element for each piece of text, the last says the kind. */
function wrap(element, { start, end, kind }) {
  const pieces = [...textNodes(element)].filter((at) => at.start < end && start < at.start + at.node.length);
  for (const { node, start: from } of pieces) {
    if (from + node.length > end) node.splitText(end - from);
    const inside = from < start ? node.splitText(start - from) : node;
    const mark = document.createElement("mark");
    mark.dataset.kind = kind;
    mark.dataset.words = kindName(kind);
    mark.toggleAttribute("data-more", node !== pieces.at(-1).node);
    inside.replaceWith(mark);
    mark.append(inside);
  }
}

const toPoints = (text, units) => [...text.slice(0, units)].length;
const toUnits = (text, points) => [...text].slice(0, points).join("").length;
const overlap = (one, other) => one.response === other.response && one.start < other.end && other.start < one.end;

export class Marker {
  /** menu: the element with [data-kind] buttons; say(words) tells a screen reader. */
  constructor(menu, say) {
    Object.assign(this, { menu, say, target: null, held: false });
    this.kinds = new Map([...menu.querySelectorAll("[data-kind]")].map((button) => [button.dataset.key, button.dataset.kind]));
    // Pressing a button must not take the selection away.
    menu.addEventListener("pointerdown", (event) => event.preventDefault());
    menu.addEventListener("mousedown", (event) => event.preventDefault());
    menu.addEventListener("click", (event) => {
      const button = event.target.closest("[data-kind]");
      if (button) this.mark(button.dataset.kind);
    });
    addEventListener("pointerdown", () => (this.held = true), true);
    for (const name of ["pointerup", "pointercancel"]) addEventListener(name, () => this.release(), true);
    document.addEventListener("selectionchange", () => this.later());
    document.addEventListener("click", (event) => this.onClick(event));
  }

  /** Takes up the marks of the comparison now on screen. */
  attach(article) {
    this.close();
    this.field = article.querySelector('input[name="spans"]');
    const elements = this.field ? [...article.querySelectorAll("[data-response]")] : [];
    this.responses = elements.map((element) => {
      const text = element.textContent;
      const words = wordsOf(text).filter(notHidden(element));
      return { element, text, words, unmarked: withoutMarks(element), number: Number(element.dataset.response), letter: element.dataset.letter };
    });
    this.spans = JSON.parse(this.field?.value || "[]").map(({ response, start, end, kind }) => {
      const found = this.responses.find((one) => one.number === response);
      return { response: found, start: toUnits(found.text, start), end: toUnits(found.text, end), kind };
    });
    this.draw();
  }

  /** What is marked, for who counts as the browser does. */
  spansOf() {
    return this.spans.map(({ response, ...span }) => ({ ...span, response: response.number }));
  }

  draw() {
    for (const response of this.responses) {
      response.element.replaceChildren(...response.unmarked.cloneNode(true).childNodes);
      for (const span of this.spans) if (span.response === response) wrap(response.element, span);
    }
  }

  save() {
    const stored = this.spans.map(({ response, start, end, kind }) => ({
      response: response.number, start: toPoints(response.text, start), end: toPoints(response.text, end), kind,
    }));
    this.field.value = JSON.stringify(stored);
  }

  // --- Selecting ------------------------------------------------------------------------------

  release() {
    this.held = false;
    this.later(0);
  }

  later(wait = SETTLE_MS) {
    clearTimeout(this.timer);
    if (!this.held) this.timer = setTimeout(() => this.follow(), wait);
  }

  /** Takes the browser's selection over. */
  follow() {
    const selected = this.read();
    if (!selected) return void this.close();
    if (this.target && selected.response === this.target.response && selected.start === this.target.start && selected.end === this.target.end) return;
    this.byKeys = false;
    this.select(selected);
  }

  read() {
    const selection = getSelection();
    if (!selection.rangeCount || selection.isCollapsed) return null;
    const range = selection.getRangeAt(0);
    const response = this.responses?.find((one) => one.element.contains(range.startContainer));
    if (!response) return null;
    const before = document.createRange();
    before.selectNodeContents(response.element);
    before.setEnd(range.startContainer, range.startOffset);
    const start = before.toString().length;
    // Three clicks select up to the beginning of what follows.
    const end = response.element.contains(range.endContainer) ? start + range.toString().length : response.text.length;
    const inside = response.words.filter((word) => word.end > start && word.start < end);
    return inside.length ? { response, start: inside[0].start, end: inside.at(-1).end } : null;
  }

  select(target) {
    this.target = target;
    getSelection().setBaseAndExtent(...this.point(target.start), ...this.point(target.end));
    this.menu.hidden = false;
    this.placeMenu();
    const marked = this.spans.find((span) => overlap(span, target));
    this.menu.querySelector('[data-kind=""]').disabled = !marked;
    const words = target.response.text.slice(target.start, target.end);
    const about = { words, letter: target.response.letter, kind: marked && kindName(marked.kind) };
    this.say(marked ? gettext("%(words)s, response %(letter)s, marked as %(kind)s", about) : gettext("%(words)s, response %(letter)s", about));
  }

  /** Where an offset of the target's response lies in the page. */
  point(offset) {
    const walker = document.createTreeWalker(this.target.response.element, NodeFilter.SHOW_TEXT);
    let node = walker.nextNode();
    for (let left = offset; node; node = walker.nextNode()) {
      if (left <= node.length) return [node, left];
      left -= node.length;
    }
    return [this.target.response.element, 0];
  }

  placeMenu() {
    const words = getSelection().getRangeAt(0).getBoundingClientRect();
    if (words.top < 0 || words.bottom > innerHeight) getSelection().focusNode.parentElement.scrollIntoView({ block: "nearest" });
    const box = this.menu.getBoundingClientRect();
    const bar = this.field.form.getBoundingClientRect();
    const fitsBelow = words.bottom + box.height + 8 < Math.min(bar.top, innerHeight);
    const top = fitsBelow ? words.bottom + 6 : Math.max(words.top - box.height - 6, 4);
    const left = Math.max(8, Math.min(words.left, document.documentElement.clientWidth - box.width - 8));
    this.menu.style.top = `${top + scrollY}px`;
    this.menu.style.left = `${left + scrollX}px`;
  }

  close() {
    clearTimeout(this.timer);
    if (this.target && this.menu.contains(document.activeElement)) document.activeElement.blur();
    if (this.target) getSelection().removeAllRanges();
    this.target = null;
    this.menu.hidden = true;
  }

  onClick(event) {
    const element = event.target.closest("mark[data-kind]");
    if (!element || !getSelection().isCollapsed) return;
    const response = this.responses?.find((one) => one.element.contains(element));
    const before = document.createRange();
    before.selectNodeContents(response.element);
    before.setEndBefore(element);
    const start = before.toString().length;
    this.byKeys = false;
    // Formatting cuts a mark into several elements.
    const span = this.spans.find((one) => one.response === response && one.start <= start && start < one.end);
    if (span) this.select({ response, start: span.start, end: span.end });
  }

  // --- Marking --------------------------------------------------------------------------------

  /** Marks what is selected; an empty kind takes marks away. */
  mark(kind) {
    const { target } = this;
    const gone = this.spans.filter((span) => overlap(span, target));
    this.spans = this.spans.filter((span) => !gone.includes(span));
    if (kind) this.spans.push({ ...target, kind });
    this.draw();
    this.save();
    if (this.byKeys) this.moveTo(this.head + (kind ? 1 : 0));
    else this.close();
    const words = target.response.text.slice(target.start, target.end);
    this.say(kind ? gettext("Marked as %(kind)s: %(words)s", { kind: kindName(kind), words }) : gettext("Mark removed: %(words)s", { words }));
  }

  /** The key: marking by keys begins at the words selected by mouse, or at the first word. */
  begin() {
    if (this.target) return;
    const response = this.responses?.find((one) => one.words.length);
    if (response) this.goTo(response);
  }

  goTo(response) {
    this.byKeys = true;
    this.target = { response };
    this.moveTo(0);
  }

  /** The word at ``index``, or with extend all words from where Shift was first held. */
  moveTo(index, { extend = false } = {}) {
    const { response } = this.target;
    this.head = Math.max(0, Math.min(index, response.words.length - 1));
    if (!extend) this.anchor = this.head;
    const [first, last] = [this.anchor, this.head].sort((a, b) => a - b);
    this.select({ response, start: response.words[first].start, end: response.words[last].end });
  }

  /** Whether the key was meant for the selected words. */
  onKey(event) {
    if (!this.target) return false;
    if (!this.byKeys && (event.key.startsWith("Arrow") || event.key.toLowerCase() === "m")) {
      const { words } = this.target.response;
      this.anchor = words.findIndex((word) => word.end > this.target.start);
      this.head = words.findLastIndex((word) => word.start < this.target.end);
      this.byKeys = true;
      if (event.key.toLowerCase() === "m") return true;
    }
    const forwards = getComputedStyle(this.target.response.element).direction === "rtl" ? -1 : 1;
    const step = { ArrowLeft: -forwards, ArrowRight: forwards }[event.key];
    const other = this.responses.find((one) => one !== this.target.response && one.words.length);
    if (step) this.moveTo(this.head + step, { extend: event.shiftKey });
    else if (event.key === "ArrowUp" || event.key === "ArrowDown") other && this.goTo(other);
    else if (event.key === "Escape" || event.key.toLowerCase() === "m") this.close();
    else if (event.key === "Delete" || event.key === "Backspace") this.mark("");
    else if (this.kinds.has(event.key)) this.mark(this.kinds.get(event.key));
    else return /^\d$/.test(event.key); // no digit may answer while words are selected
    return true;
  }
}
