/*
 * Correcting an answer, the third question. The text begins as the answer's own, its marked words
 * drawn behind it. What is written is kept in this browser at every stroke, until the server has the
 * answer: a closed tab, a step back, an answer taken back or a lost session loses none of it.
 */

import { kindName } from "./mark_kinds.js";
import { gettext } from "./texts.js";

const PREFIX = "factloop-correction";
const KEPT_DAYS = 30;
const OTHER = { 1: "2", 2: "1" };

/** The response to be corrected by who answers so; null where neither is the better one. */
export function responseToCorrect(side, { more_hallucinated: worse, more_helpful: helpful }) {
  const better = OTHER[worse] ?? (OTHER[helpful] ? helpful : null);
  return better && (side === "better" ? better : OTHER[better]);
}

/** Texts that are being written, by person, comparison and response. */
class Drafts {
  constructor(owner) {
    this.owner = owner;
    const before = Date.now() - KEPT_DAYS * 24 * 3600 * 1000;
    for (const key of Object.keys(this.all()).filter((one) => one.startsWith(PREFIX))) {
      if (!(this.read(key)?.at > before)) this.all().removeItem(key);
    }
  }

  /** The browser's store; where it has none, nothing is kept. */
  all() {
    try {
      return localStorage;
    } catch {
      return { getItem: () => null, setItem: () => {}, removeItem: () => {} };
    }
  }

  key(token, number) {
    return `${PREFIX}:${this.owner}:${token}:${number}`;
  }

  read(key) {
    try {
      return JSON.parse(this.all().getItem(key));
    } catch {
      return null;
    }
  }

  get(token, number) {
    return this.read(this.key(token, number))?.text;
  }

  /** Whether it could be kept. */
  put(token, number, text) {
    try {
      this.all().setItem(this.key(token, number), JSON.stringify({ text, at: Date.now() }));
      return true;
    } catch {
      return false;
    }
  }

  drop(token) {
    for (const number of [1, 2]) this.all().removeItem(this.key(token, number));
  }
}

/** What two texts begin and end with alike: the lengths, which never overlap. */
function alikeEnds(one, other) {
  const most = Math.min(one.length, other.length);
  let head = 0;
  while (head < most && one[head] === other[head]) head += 1;
  let tail = 0;
  while (tail < most - head && one.at(-1 - tail) === other.at(-1 - tail)) tail += 1;
  return { head, tail };
}

const words = (text) => text.split(/\s+/).filter(Boolean).join(" ");

export class Corrector {
  /** owner: whose drafts are kept; say(words) tells a screen reader. */
  constructor(owner, say) {
    this.drafts = new Drafts(owner);
    this.say = say;
    this.field = null;
  }

  /** The response that the article's third question is about, by what has been chosen; or null. */
  asked(article, chosen) {
    const fieldset = article.querySelector('[data-question="correction"]');
    return fieldset && responseToCorrect(fieldset.dataset.corrects, chosen);
  }

  /** Shows the text of the response; spans: marked words {response, start, end, kind}, in UTF-16. */
  open(article, number, spans) {
    this.close();
    this.article = article;
    this.number = number;
    this.fieldset = article.querySelector('[data-question="correction"]');
    this.field = this.fieldset.querySelector("textarea");
    this.shown = article.querySelector(`[data-response="${number}"]`);
    // As a text field has it: it knows one kind of line end.
    this.original = this.shown.textContent.replace(/\r\n?/g, "\n");
    const stored = JSON.parse(this.fieldset.dataset.stored).find((one) => String(one.response) === number);
    const { letter } = this.shown.dataset;
    for (const place of this.fieldset.querySelectorAll("[data-correction-letter]")) place.textContent = letter;
    this.shown.closest(".response").toggleAttribute("data-correcting", true);
    this.field.disabled = false;
    this.field.maxLength = Number(this.shown.dataset.longest);
    this.field.oninput = () => this.changed();
    this.field.onscroll = () => this.follow();
    this.marks = this.marksOf(spans);
    this.before = this.original;
    this.field.value = this.drafts.get(article.dataset.task, number) ?? stored?.text ?? this.original;
    this.moveMarks();
    this.draw();
    const [first] = this.marks;
    this.field.focus({ preventScroll: true });
    this.field.setSelectionRange(first?.start ?? 0, first?.end ?? 0);
    this.follow();
  }

  /** Leaves the question; the draft stays. */
  close() {
    if (!this.field) return;
    this.field.disabled = true;
    this.shown.closest(".response").removeAttribute("data-correcting");
    this.field = null;
  }

  /** Marks of this response, counted in the text as the field has it. */
  marksOf(spans) {
    const text = this.shown.textContent;
    const place = (units) => text.slice(0, units).replace(/\r\n/g, "\n").length;
    return spans
      .filter((span) => span.response === Number(this.number))
      .map(({ start, end, kind }) => ({ start: place(start), end: place(end), kind }))
      .sort((one, other) => one.start - other.start);
  }

  changed() {
    this.moveMarks();
    this.draw();
    const kept = this.drafts.put(this.article.dataset.task, this.number, this.field.value);
    this.fieldset.toggleAttribute("data-unkept", !kept);
  }

  /** Marks go with their words; one whose words were changed is done with. */
  moveMarks() {
    const text = this.field.value;
    const { head, tail } = alikeEnds(this.before, text);
    const shift = text.length - this.before.length;
    const end = this.before.length - tail;
    if (text !== this.before) {
      this.marks = this.marks
        .filter((mark) => mark.end <= head || mark.start >= end)
        .map((mark) => (mark.start >= end ? { ...mark, start: mark.start + shift, end: mark.end + shift } : mark));
    }
    this.before = text;
  }

  draw() {
    const text = this.field.value;
    const behind = this.fieldset.querySelector("[data-correction-marks]");
    const parts = [];
    let done = 0;
    for (const { start, end, kind } of this.marks) {
      const mark = document.createElement("mark");
      mark.textContent = text.slice(start, end);
      mark.title = kindName(kind);
      parts.push(text.slice(done, start), mark);
      done = end;
    }
    behind.replaceChildren(...parts, `${text.slice(done)}\n`); // a last line that is empty has height too
    const same = words(text) === words(this.original);
    const button = this.fieldset.querySelector('[value="made"] [data-words]');
    button.textContent = same ? button.dataset.same : button.dataset.changed;
    const left = this.marks.map((mark) => `“${text.slice(mark.start, mark.end)}” (${kindName(mark.kind)})`);
    const marked = gettext("Marked: %(words)s.", { words: left.join(", ") });
    this.fieldset.querySelector("[data-correction-left]").textContent = left.length ? marked + " " : "";
    this.fieldset.querySelector("[data-correction-length]").textContent = gettext("%(length)s of %(most)s characters", { length: text.length, most: this.field.maxLength });
  }

  follow() {
    const behind = this.fieldset.querySelector("[data-correction-marks]");
    behind.scrollTop = this.field.scrollTop;
  }

  /** The fields of the form for a pressed button. */
  given(value) {
    if (value !== "made") return { correction: value };
    return { correction: value, corrects: this.number, corrected: this.field.value };
  }

  /** The server has the answer to a comparison: what was written for it is in it, or given up. */
  stored(token) {
    this.drafts.drop(token);
  }
}
