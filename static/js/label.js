/*
 * The labelling page. One comparison is on screen, the next one waits in memory with its image
 * loaded, so that an answer shows the next one at once; the answer itself travels by the outbox.
 */

import { Marker } from "./marks.js";
import { Outbox, postFragment } from "./outbox.js";
import { toast } from "./toast.js";
import { Viewer } from "./viewer.js";

const IDLE_SECONDS = 30;
const page = document.querySelector("[data-label-page]");
const holder = document.getElementById("task-holder");
const status = document.getElementById("label-status");
const outbox = new Outbox(page.dataset.owner);
const marker = new Marker(document.getElementById("span-menu"), (words) => (status.textContent = words));

let current = null; // the article on screen
let viewer = null;
let chosen = {}; // the answer to the questions asked so far about it
let ahead = []; // articles ready to be shown, the next one first
let asking = null; // the promise of one more article
let answered = []; // {article, id}: what could still be taken back before it is sent

// --- Time with the page visible and in use ----------------------------------------------------

const clock = { seconds: 0, lastUse: 0, lastTick: performance.now() };

function tick() {
  const now = performance.now();
  const inUse = !document.hidden && now - clock.lastUse < IDLE_SECONDS * 1000;
  if (inUse) clock.seconds += Math.min((now - clock.lastTick) / 1000, 2);
  clock.lastTick = now;
}

setInterval(tick, 500);
for (const name of ["pointermove", "pointerdown", "keydown", "wheel", "scroll"]) {
  addEventListener(name, () => (clock.lastUse = performance.now()), { passive: true, capture: true });
}

// --- Showing and fetching ---------------------------------------------------------------------

function parse(html) {
  const template = document.createElement("template");
  template.innerHTML = html;
  const article = template.content.querySelector("[data-task], [data-nothing]");
  // What the template holds belongs to an inert document; adopted, its image starts to load.
  return document.adoptNode(article);
}

function show(article, { focus = true } = {}) {
  current = article;
  if (article.parentNode !== holder || holder.children.length !== 1) holder.replaceChildren(article);
  const frame = article.querySelector("[data-viewer]");
  viewer = frame ? (article.viewer ??= new Viewer(frame)) : null;
  marker.attach(article);
  setStep("hallucinates");
  Object.assign(clock, { seconds: 0, lastUse: performance.now(), lastTick: performance.now() });
  if (focus) {
    scrollTo({ top: 0 });
    article.focus({ preventScroll: true });
  }
  page.toggleAttribute("data-has-task", article.matches("[data-task]"));
  if (article.matches("[data-task]")) prepareNext();
}

function prepareNext() {
  if (ahead.length || asking) return asking;
  asking = fetchNext().finally(() => (asking = null));
  asking.catch(() => {});
  return asking;
}

async function fetchNext() {
  // The server knows what is answered only once it has the answer; until then it would hand the
  // same comparison out again.
  await outbox.flush();
  if (outbox.entries.length) throw new Error("Answers wait to be sent.");
  const beside = current?.dataset.task;
  const article = parse(await postFragment(page.dataset.nextUrl, beside ? { beside } : {}));
  if (!article.matches("[data-task]")) return article;
  await article.querySelector("[data-viewer] img").decode().catch(() => {});
  ahead.push(article);
  return article;
}

async function advance() {
  if (ahead.length) return show(ahead.shift());
  const left = current;
  holder.setAttribute("aria-busy", "true");
  try {
    const article = await prepareNext();
    if (current === left) show(ahead.shift() ?? article);
  } catch {
    if (current === left) show(waitingNotice());
  } finally {
    holder.removeAttribute("aria-busy");
  }
}

function waitingNotice() {
  const article = document.getElementById("offline-notice").content.firstElementChild.cloneNode(true);
  article.querySelector("[data-retry]").addEventListener("click", advance);
  addEventListener("online", () => current === article && advance(), { once: true });
  return article;
}

// --- Answering --------------------------------------------------------------------------------

function setStep(step) {
  if (step === "hallucinates") chosen = {};
  for (const fieldset of current?.querySelectorAll("[data-question]") ?? []) {
    fieldset.hidden = fieldset.dataset.question !== step;
  }
  if (current) current.dataset.step = step;
}

function nextStep() {
  if (chosen.more_hallucinated === "tie" && !chosen.more_helpful) return "helpful";
  const asked = current.querySelector('[data-question="confidence"]');
  return asked && !chosen.confidence ? "confidence" : null;
}

// While the next comparison is awaited, the one still on screen is answered already.
const leaving = () => holder.hasAttribute("aria-busy");

function answer(name, value) {
  if (leaving()) return;
  chosen[name] = value;
  const step = nextStep();
  if (!step) {
    send(current.querySelector("form"), chosen);
    status.textContent = "Answer recorded.";
    return;
  }
  setStep(step);
  const question = current.querySelector(`[data-question="${step}"]`);
  status.textContent = question.querySelector("legend").textContent;
  question.querySelector("button").focus({ preventScroll: true, focusVisible: false });
}

function send(form, extra) {
  tick();
  const article = current;
  const fields = { ...Object.fromEntries(new FormData(form)), active_seconds: clock.seconds.toFixed(1), ...extra };
  delete fields.csrfmiddlewaretoken;
  const entry = outbox.add(form.action, fields, article.dataset.task);
  if (article.dataset.editing === undefined) answered = [...answered.slice(-19), { article, id: entry.id }];
  advance();
}

function skip(reason) {
  document.getElementById("skip-dialog").close();
  if (leaving()) return;
  const form = current.querySelector("form");
  const fields = { client_uuid: crypto.randomUUID(), reason };
  outbox.add(form.dataset.skipUrl, fields, current.dataset.task);
  status.textContent = "Skipped.";
  advance();
}

async function undo() {
  if (current?.matches("[data-task]") && current.dataset.step !== "hallucinates") return setStep("hallucinates");
  const last = answered.at(-1);
  if (last && outbox.take(last.id)) {
    answered.pop();
    ahead.unshift(current);
    return show(last.article);
  }
  try {
    await outbox.flush();
    const before = current?.dataset.editing ?? "";
    const article = parse(await postFragment(page.dataset.previousUrl, before ? { before } : {}));
    if (!article.matches("[data-task]")) return toast("There is no earlier answer that can be changed.");
    if (current.matches("[data-task]") && current.dataset.editing === undefined) ahead.unshift(current);
    show(article);
    status.textContent = "Your earlier answer. Choose again to change it.";
  } catch {
    toast("The earlier answer cannot be fetched just now.", { error: true });
  }
  return undefined;
}

// --- Keys -------------------------------------------------------------------------------------

const typing = "input:not([type=radio], [type=checkbox]), textarea, select, [contenteditable]";
const places = { 1: "first", ArrowLeft: "first", 2: "second", ArrowRight: "second", 0: "tie" };
const commands = {
  s: () => current.matches("[data-task]:not([data-editing])") && document.getElementById("skip-dialog").showModal(),
  u: () => undo(),
  m: () => marker.begin(),
  n: () => openNote(),
  l: () => location.assign(page.dataset.answersUrl),
  z: () => viewer?.toggle(),
  g: () => document.getElementById("guidelines-dialog").showModal(),
  "?": () => document.getElementById("keys-dialog").showModal(),
};

function openNote() {
  const note = current.querySelector("[data-note]");
  if (!note) return;
  note.open = true;
  note.querySelector("textarea").focus();
}

function placeOf(key) {
  return current?.dataset.step === "confidence" ? key : places[key];
}

function onKey(event) {
  if (event.key === "Escape" && event.target.closest("[data-note]")) return void current.focus({ preventScroll: true });
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest(typing)) return;
  const dialog = document.querySelector("dialog[open]");
  if (!dialog && marker.onKey(event)) return void event.preventDefault();
  // A key held down must not answer one comparison after the other.
  if (event.repeat) return;
  if (dialog) return dialogKey(event, dialog);
  const buttons = current?.querySelectorAll(`[data-question="${current.dataset.step}"] [data-place]`) ?? [];
  const button = [...buttons].find((one) => one.dataset.place === placeOf(event.key));
  const command = button ? () => button.click() : commands[event.key.toLowerCase()];
  if (event.key === "Escape" && current?.dataset.editing !== undefined) return void advance();
  if (!command) return;
  event.preventDefault();
  command();
}

function dialogKey(event, dialog) {
  const button = dialog.querySelector(`[data-key="${CSS.escape(event.key)}"]`);
  const closes = commands[event.key.toLowerCase()] && dialog.dataset.toggleKey === event.key.toLowerCase();
  if (!button && !closes) return;
  event.preventDefault();
  if (button) button.click();
  else dialog.close();
}

document.addEventListener("keydown", onKey);
document.addEventListener("click", (event) => {
  const command = event.target.closest("[data-command]")?.dataset.command;
  const reason = event.target.closest("[data-skip-reason]")?.dataset.skipReason;
  if (command === "keep") advance();
  else if (command) commands[command]();
  if (reason) skip(reason);
});
holder.addEventListener("submit", (event) => {
  event.preventDefault();
  const { name, value } = event.submitter;
  answer(name, value);
});

// --- What the person is told ------------------------------------------------------------------

function tellPending() {
  const waiting = outbox.entries;
  const late = waiting.some((entry) => Date.now() - entry.at > 1500);
  const notice = document.getElementById("pending");
  notice.hidden = !waiting.length || !(outbox.trouble || late);
  const count = waiting.length === 1 ? "1 answer is" : `${waiting.length} answers are`;
  const why = outbox.trouble === "login" ? "Log in again in another tab: " : "";
  notice.textContent = `${why}${count} waiting to be sent`;
}

outbox.addEventListener("change", tellPending);
setInterval(tellPending, 1000);
outbox.addEventListener("sent", ({ detail }) => {
  const template = document.createElement("template");
  template.innerHTML = detail.text;
  const progress = template.content.querySelector("#label-progress");
  if (progress) document.getElementById("label-progress").replaceWith(progress);
});
outbox.addEventListener("refused", ({ detail }) => {
  const reason = detail.status === 404 || detail.status === 403 ? "You may no longer answer in this project." : detail.text.slice(0, 300);
  toast(`An answer was not accepted: ${reason}`, { error: true });
});

// A lease lasts as long as the page is in use.
setInterval(() => {
  if (document.hidden || performance.now() - clock.lastUse > 5 * 60 * 1000) return;
  for (const article of [current, ...ahead]) {
    if (article?.dataset.renewUrl) postFragment(article.dataset.renewUrl, {}).catch(() => {});
  }
}, Number(page.dataset.renewSeconds) * 1000);

show(holder.firstElementChild, { focus: false });
outbox.flush();
if (page.hasAttribute("data-show-guidelines")) document.getElementById("guidelines-dialog").showModal();
