/*
 * The labelling page. One comparison is on screen, the next ones wait in memory with their images
 * decoded, so that an answer shows the next one at once; the answer itself travels by the outbox.
 *
 * A question of the entry quiz is shown on the same page; its answer travels by the outbox too, and
 * the page goes on when the server has it.
 */

import { clock } from "./clock.js";
import { Corrector } from "./corrections.js";
import { Marker } from "./marks.js";
import { freshUuid, LoggedOut, Outbox, postFragment } from "./outbox.js";
import { tellPending } from "./pending.js";
import { isMeant, shown } from "./stray_clicks.js";
import { gettext } from "./texts.js";
import { toast } from "./toast.js";
import { Viewer } from "./viewer.js";

const AHEAD = 2; // how many are ready: two are enough for quick answers and a short gap in the network
const RETRY_SECONDS = 5;
const page = document.querySelector("[data-label-page]");
const holder = document.getElementById("task-holder");
const status = document.getElementById("label-status");
const outbox = new Outbox(document.body.dataset.owner, document.body.dataset.ownerName);
const say = (words) => (status.textContent = words);
const marker = new Marker(document.getElementById("span-menu"), say);
const corrector = new Corrector(document.body.dataset.owner, say);

let current = null; // the article on screen
let viewer = null;
let chosen = {}; // the answer to the questions asked so far about it
let ahead = []; // articles ready to be shown, the next one first
let asking = null; // the promise of one more article
let heldKey = null; // the key by which a choice was made, until it is let go
let acts = []; // {article, id, skipped, sent}: what was done here, to be taken back

const progress = () => document.getElementById("label-progress");
const isTask = (article) => Boolean(article?.matches("[data-task]"));
const isNew = (article) => isTask(article) && article.dataset.editing === undefined;

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
  showSource(holder.classList.contains("as-written"));
  setStep("hallucinates");
  clock.restart();
  if (focus) {
    scrollTo({ top: 0 });
    article.focus({ preventScroll: true });
  }
  if (isTask(article)) prepare();
  if (Number(progress().dataset.guidelines) > Number(page.dataset.guidelines)) readAgain();
}

/** Guidelines that have changed since the page was loaded: shown between two comparisons. */
async function readAgain() {
  const answer = await fetch(location.pathname, { headers: { "X-Person": outbox.owner } }).catch(() => null);
  if (!answer?.ok) return; // asked for again with the next comparison
  const loaded = new DOMParser().parseFromString(await answer.text(), "text/html");
  const dialog = loaded.getElementById("guidelines-dialog");
  document.getElementById("guidelines-dialog").replaceWith(dialog);
  page.dataset.guidelines = loaded.querySelector("[data-label-page]").dataset.guidelines;
  dialog.showModal();
}

/** Gets one more article ready and then others; gives the one, or the page's word for "no more". */
function prepare() {
  asking ??= fetchNext().finally(() => (asking = null));
  const asked = asking;
  asked.then((article) => void (isTask(article) && ahead.length < AHEAD && prepare()), () => {});
  return asked;
}

async function fetchNext() {
  if (ahead.length >= AHEAD) return ahead.at(-1);
  // The server knows what is answered only once it has the answer; until then it would hand the
  // same comparison out again.
  await allSent();
  const held = [current, ...ahead].filter(isNew).map((article) => article.dataset.task);
  const article = parse(await postFragment(page.dataset.nextUrl, new URLSearchParams(held.map((token) => ["beside", token]))));
  if (!isTask(article)) return article;
  await article.querySelector("[data-viewer] img").decode().catch(() => {});
  ahead.push(article);
  return article;
}

/** An answer given meanwhile, or one that another tab is sending, is waited for: it is no trouble. */
async function allSent() {
  await outbox.flush();
  while (outbox.waiting.length && !outbox.trouble) {
    await new Promise((resolve) => outbox.addEventListener("change", resolve, { once: true }));
  }
  if (outbox.trouble === "login" || outbox.trouble === "other") throw new LoggedOut();
  if (outbox.waiting.length) throw new Error("Answers wait to be sent.");
}

async function advance() {
  if (ahead.length) return show(ahead.shift());
  const left = current;
  holder.setAttribute("aria-busy", "true");
  try {
    // What was asked for before this answer was given may say "no more" too early.
    const earlier = asking;
    let article = await prepare();
    if (earlier && !isTask(article)) article = await prepare();
    if (current === left) show(ahead.shift() ?? article);
  } catch (error) {
    if (current === left) waitForServer(error instanceof LoggedOut ? "login-notice" : "offline-notice");
  } finally {
    holder.removeAttribute("aria-busy");
  }
  return undefined;
}

/** Says that nothing can be shown now, and tries again by itself. */
function waitForServer(kind) {
  if (current.dataset.waiting !== kind) {
    const notice = document.getElementById(kind).content.firstElementChild.cloneNode(true);
    notice.dataset.waiting = kind;
    notice.querySelector("[data-retry]").addEventListener("click", advance);
    show(notice);
  }
  const notice = current;
  setTimeout(() => current === notice && advance(), RETRY_SECONDS * 1000);
}

/** Whether the comparison is answered already: its answer waits since before the page was loaded. */
async function start() {
  const first = holder.firstElementChild;
  show(first, { focus: false });
  await outbox.look();
  const { waiting } = outbox;
  const answered = waiting.some(({ token, url }) => token === first.dataset.task || url === quizForm()?.action);
  if (answered && quizForm()) return waitForFeedback();
  if (current === first && isNew(first) && answered) advance();
  else outbox.flush();
}
// --- Answering --------------------------------------------------------------------------------

function setStep(step) {
  if (step === "hallucinates") chosen = {};
  corrector.close();
  for (const fieldset of current?.querySelectorAll("[data-question]") ?? []) {
    fieldset.hidden = fieldset.dataset.question !== step;
  }
  if (current) current.dataset.step = step;
  shown();
}

function nextStep() {
  if (chosen.more_hallucinated === "tie" && !chosen.more_helpful) return "helpful";
  if (!chosen.correction && corrector.asked(current, chosen)) return "correction";
  const asked = current.querySelector('[data-question="confidence"]');
  return asked && !chosen.confidence ? "confidence" : null;
}

// While the next comparison is awaited, the one still on screen is answered already.
const leaving = () => holder.hasAttribute("aria-busy");

function answer(name, value) {
  if (leaving()) return;
  Object.assign(chosen, name === "correction" ? corrector.given(value) : { [name]: value });
  const step = nextStep();
  if (!step) {
    send(current.querySelector("form"), chosen);
    status.textContent = gettext("Answer recorded.");
    return;
  }
  setStep(step);
  const question = current.querySelector(`[data-question="${step}"]`);
  if (step === "correction") corrector.open(current, corrector.asked(current, chosen), marker.spansOf());
  status.textContent = question.querySelector("legend").textContent;
  if (step !== "correction") question.querySelector("button").focus({ preventScroll: true, focusVisible: false });
}

function send(form, extra) {
  const fields = { ...Object.fromEntries(new FormData(form)), active_seconds: clock.read().toFixed(1), ...extra };
  delete fields.csrfmiddlewaretoken;
  remember({ id: fields.client_uuid });
  outbox.add(form.action, fields, current.dataset.task);
  advance();
}

function skip(reason) {
  document.getElementById("skip-dialog").close();
  if (leaving() || !isNew(current)) return;
  const id = freshUuid();
  remember({ id, skipped: true });
  outbox.add(current.querySelector("form").dataset.skipUrl, { client_uuid: id, reason }, current.dataset.task);
  status.textContent = gettext("Skipped.");
  advance();
}

function remember(act) {
  if (isNew(current)) acts = [...acts.slice(-19), { article: current, ...act }];
}

async function undo() {
  if (isTask(current) && current.dataset.step !== "hallucinates") return setStep("hallucinates");
  if (leaving()) return undefined;
  holder.setAttribute("aria-busy", "true");
  const before = current;
  try {
    const article = (await takeBack()) ?? (await fetchPrevious());
    if (!article) return toast(gettext("There is no earlier answer that can be changed."));
    if (isNew(before)) ahead.unshift(before);
    show(article);
    status.textContent = gettext("Your earlier answer. Choose again to change it.");
  } catch {
    toast(gettext("The earlier answer cannot be fetched just now."), { error: true });
  } finally {
    holder.removeAttribute("aria-busy");
  }
  return undefined;
}

/** What was done last, if the server does not have it, or if it was a skip: answering undoes that. */
async function takeBack() {
  const last = acts.at(-1);
  if (!last || current.dataset.editing !== undefined) return null;
  const back = !last.sent && (await outbox.recall(last.id));
  if (!back && !last.skipped) return null;
  acts.pop();
  // It may have arrived although nothing came back; another answer is another act.
  last.article.querySelector("form").elements.client_uuid.value = freshUuid();
  return last.article;
}

async function fetchPrevious() {
  await allSent();
  const before = current.dataset.editing ?? "";
  const article = parse(await postFragment(page.dataset.previousUrl, before ? { before } : {}));
  return isTask(article) ? article : null;
}

// --- Keys -------------------------------------------------------------------------------------

const typing = "input:not([type=radio], [type=checkbox]), textarea, select, [contenteditable]";
// Arrows mean the side on which an answer is seen: the first one stands where reading begins.
const [toFirst, toSecond] = document.dir === "rtl" ? ["ArrowRight", "ArrowLeft"] : ["ArrowLeft", "ArrowRight"];
const places = { 1: "first", [toFirst]: "first", 2: "second", [toSecond]: "second", 0: "tie" };
const commands = {
  s: () => isNew(current) && document.getElementById("skip-dialog").showModal(),
  u: () => !current.matches("[data-quiz]") && undo(),
  m: () => marker.begin(),
  v: () => showSource(!holder.classList.contains("as-written")),
  n: () => openNote(),
  l: () => location.assign(page.dataset.answersUrl),
  z: () => viewer?.toggle(),
  g: () => document.getElementById("guidelines-dialog").showModal(),
  "?": () => document.getElementById("keys-dialog").showModal(),
};

/** Answers as they were written, or laid out; the choice holds for all that follow. */
function showSource(asWritten) {
  holder.classList.toggle("as-written", asWritten);
  for (const button of holder.querySelectorAll('[data-command="v"]')) button.setAttribute("aria-pressed", asWritten);
}

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
  if (event.repeat && event.key === heldKey) return void event.preventDefault(); // it would be typed into the correction
  if (event.target.closest("[data-correction]") && event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    return void current.querySelector('[name="correction"][value="made"]').click();
  }
  if (event.key === "Escape" && event.target.closest("[data-note], [data-correction]")) return void current.focus({ preventScroll: true });
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest(typing)) return;
  const dialog = document.querySelector("dialog[open]");
  if (!dialog && marker.onKey(event)) return void event.preventDefault();
  // A key held down must not answer one comparison after the other, nor press the button it is on.
  if (event.repeat) return void (event.target.closest("button") && event.preventDefault());
  if (dialog) return dialogKey(event, dialog);
  const buttons = current?.querySelectorAll(`[data-question="${current.dataset.step}"] [data-place]`) ?? [];
  const button = [...buttons].find((one) => one.dataset.place === placeOf(event.key));
  const command = button ? () => button.click() : commands[event.key.toLowerCase()];
  if (event.key === "Escape" && current?.dataset.editing !== undefined) return void advance();
  if (!command) return;
  event.preventDefault();
  heldKey = event.key;
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
document.addEventListener("keyup", () => (heldKey = null));
// Before all others: neither an answer nor a command is for a press that was meant for what was here before.
addEventListener(
  "click",
  (event) => {
    if (!event.target.closest("[data-place], [data-command], [data-skip-reason], [data-retry]") || isMeant(event)) return;
    event.preventDefault();
    event.stopPropagation();
    status.textContent = gettext("That click came too early and answered nothing.");
  },
  true,
);
document.addEventListener("click", (event) => {
  const command = event.target.closest("[data-command]")?.dataset.command;
  const reason = event.target.closest("[data-skip-reason]")?.dataset.skipReason;
  if (command === "keep") advance();
  else if (command) commands[command]();
  if (reason) skip(reason);
});
holder.addEventListener("submit", (event) => {
  if (!isTask(current) && event.target !== quizForm()) return; // the quiz begins
  event.preventDefault();
  const { name, value } = event.submitter;
  if (isTask(current)) return void answer(name, value);
  outbox.add(event.target.action, { client_uuid: freshUuid(), [name]: value }, event.target.action);
  waitForFeedback();
});

// --- The entry quiz ---------------------------------------------------------------------------

const quizForm = () => current?.querySelector("form[data-then]");

/** The answer waits or is on its way: nothing else can be chosen. */
function waitForFeedback() {
  for (const button of quizForm().querySelectorAll("button")) button.disabled = true;
  outbox.flush();
}

// --- What the person is told ------------------------------------------------------------------

tellPending(outbox, document.getElementById("pending"));
outbox.addEventListener("sent", ({ detail }) => {
  if (detail.entry.url === quizForm()?.action) location.assign(quizForm().dataset.then);
});
outbox.addEventListener("change", () => {
  if (outbox.waiting.length || outbox.trouble) return;
  // The server is there again.
  if (current.matches("[data-waiting]")) advance();
  else if (isTask(current) && ahead.length < AHEAD) prepare();
});
outbox.addEventListener("sent", ({ detail }) => {
  for (const act of acts) act.sent ||= act.id === detail.entry.id;
  corrector.stored(detail.entry.token);
  const template = document.createElement("template");
  template.innerHTML = detail.text;
  const fresh = template.content.querySelector("#label-progress");
  // Another tab may have sent an answer in another project.
  if (fresh?.dataset.project === progress().dataset.project) progress().replaceWith(fresh);
});
outbox.addEventListener("refused", ({ detail }) => {
  for (const act of acts) act.sent ||= act.id === detail.entry.id;
  toast(gettext("An answer was not accepted: %(reason)s", { reason: detail.text }), { error: true });
  if (detail.entry.url === quizForm()?.action) location.reload();
});

// A lease lasts as long as the page is in use.
setInterval(() => {
  if (clock.idleFor(5 * 60)) return;
  for (const article of [current, ...ahead]) {
    if (article.dataset.renewUrl) postFragment(article.dataset.renewUrl, {}).catch(() => {});
  }
}, Number(page.dataset.renewSeconds) * 1000);

start();
if (page.hasAttribute("data-show-guidelines")) document.getElementById("guidelines-dialog").showModal();
