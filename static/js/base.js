// What every page has: theme toggle, messages that can be put away, menus that close.
// Nothing imports this file: under hashed names it would then run twice.

import { gettext } from "./texts.js";
import { toast } from "./toast.js";

const dark = matchMedia("(prefers-color-scheme: dark)");

function currentTheme() {
  return document.documentElement.dataset.theme ?? (dark.matches ? "dark" : "light");
}

function toggleTheme() {
  const next = currentTheme() === "dark" ? "light" : "dark";
  document.documentElement.dataset.theme = next;
  localStorage.setItem("theme", next);
  document.dispatchEvent(new CustomEvent("themechange"));
}

dark.addEventListener("change", () => document.dispatchEvent(new CustomEvent("themechange")));

document.addEventListener("click", (event) => {
  if (event.target.closest("[data-theme-toggle]")) toggleTheme();
  event.target.closest("[data-dismiss]")?.parentElement.remove();
  const opener = event.target.closest("[data-open-dialog]");
  if (opener) document.getElementById(opener.dataset.openDialog)?.showModal();
  if (event.target.closest("[data-close-dialog]")) event.target.closest("dialog").close();
  // A click on the backdrop lands on the dialog itself.
  if (event.target instanceof HTMLDialogElement && !mustBeAnswered(event.target)) event.target.close();
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (!menu.contains(event.target)) menu.open = false;
  }
});

// What has to be read or decided is left by its own buttons alone. A browser lets a second Esc pass
// whatever the page says, so a dialog that was closed all the same opens again.
const mustBeAnswered = (dialog) => dialog.hasAttribute("data-must-answer");
document.addEventListener("cancel", (event) => mustBeAnswered(event.target) && event.preventDefault(), true);
document.addEventListener("close", ({ target }) => mustBeAnswered(target) && target.isConnected && target.showModal(), true);

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    menu.open = false;
    menu.querySelector("summary").focus();
  }
});

// What cannot be undone is asked about first, in the page's own dialog; Esc and Cancel leave it undone.
const confirmed = new WeakSet();
document.addEventListener("submit", (event) => {
  const { target: form, submitter } = event;
  if (!form.dataset.confirm || asked.has(form) || confirmed.has(form)) return;
  event.preventDefault();
  const dialog = document.createElement("dialog");
  dialog.className = "dialog";
  dialog.id = "confirm-dialog";
  dialog.setAttribute("aria-labelledby", "confirm-question");
  const body = document.createElement("div");
  body.className = "dialog-body stack";
  const question = document.createElement("p");
  question.id = "confirm-question";
  question.textContent = form.dataset.confirm;
  const row = document.createElement("div");
  row.className = "row";
  const yes = document.createElement("button");
  yes.className = submitter?.classList.contains("button-danger") ? "button button-danger" : "button button-primary";
  yes.textContent = submitter?.textContent.trim() || gettext("Go on");
  const no = document.createElement("button");
  no.className = "button";
  no.textContent = gettext("Cancel");
  no.autofocus = true;
  for (const button of [yes, no]) button.type = "button";
  row.append(yes, no);
  body.append(question, row);
  dialog.append(body);
  document.body.append(dialog);
  dialog.addEventListener("close", () => dialog.remove());
  no.addEventListener("click", () => dialog.close());
  yes.addEventListener("click", () => {
    dialog.close();
    confirmed.add(form);
    form.requestSubmit(submitter);
    confirmed.delete(form);
  });
  dialog.showModal();
});

// A page is made for one person, and sends in their name alone: the server answers 401 unless it is
// they who are logged in (annotation.page_owner). The token of forms is read at the time of sending,
// because logging in again in another tab changes it.
const owner = document.body.dataset.owner ?? "";
const csrfToken = () => document.cookie.match(/(?:^|; )csrftoken=([^;]+)/)?.[1] ?? "";
const LOGGED_OUT = gettext("You are logged out. Nothing on this page is lost: log in again in another tab, then do this once more.");

document.addEventListener("htmx:configRequest", ({ detail }) => {
  if (!owner) return;
  detail.headers["X-Person"] = owner;
  detail.headers["X-CSRFToken"] = csrfToken();
  delete detail.parameters.csrfmiddlewaretoken;
});

// A form in which somebody has written, or to which files belong, would be lost if it were sent
// after the end of its session: it asks first, and stays as it is when the answer is no.
const [asked, answered] = [new WeakSet(), new WeakSet()];

document.addEventListener("submit", async (event) => {
  const { target: form, submitter } = event;
  const written = form.getAttribute("method") === "post" && form.querySelector("textarea, input[type=file]");
  if (event.defaultPrevented || !owner || !written || answered.has(form)) return;
  event.preventDefault();
  if (asked.has(form)) return; // A second press, while the first one asks.
  asked.add(form);
  const answer = await fetch("/healthz/live", { headers: { "X-Person": owner } }).catch(() => null);
  if (answer?.status === 401) toast(LOGGED_OUT, { error: true });
  else if (!answer) toast(gettext("The server cannot be reached. Nothing on this page is lost: try again."), { error: true });
  else {
    form.elements.csrfmiddlewaretoken.value = csrfToken();
    answered.add(form);
    form.requestSubmit(submitter);
    answered.delete(form);
  }
  asked.delete(form);
});

// A form is sent once: what a double click sends again, or a browser that had no answer, has the
// same id, and the server carries it out once (annotation/sent_once.py). A page that is come back
// to is another one.
const PATIENCE_MS = 5000; // then a page that is still there, as after a download, may send again
let sending = new WeakSet();
let ids = new WeakMap();

addEventListener("pageshow", () => {
  sending = new WeakSet();
  ids = new WeakMap();
});

document.addEventListener("submit", (event) => {
  const { target: form } = event;
  if (event.defaultPrevented || !owner || form.getAttribute("method") !== "post") return;
  if (sending.has(form)) return event.preventDefault();
  const mine = sending;
  mine.add(form);
  setTimeout(() => mine.delete(form), PATIENCE_MS);
  if (!ids.has(form)) ids.set(form, [...crypto.getRandomValues(new Uint32Array(4))].map((part) => part.toString(36)).join("-"));
  const field = form.querySelector("input[name=form_id]") ?? form.appendChild(Object.assign(document.createElement("input"), { type: "hidden", name: "form_id" }));
  field.value = ids.get(form);
});

// A button that puts a text into a field: <button data-fill="#field" data-from="#template">.
document.addEventListener("click", ({ target }) => {
  const button = target.closest("[data-fill]");
  if (!button) return;
  const field = document.querySelector(button.dataset.fill);
  const text = document.querySelector(button.dataset.from).content.textContent.trim();
  field.value = [field.value.trim(), text].filter(Boolean).join("\n\n");
  field.focus();
  field.dispatchEvent(new Event("input", { bubbles: true }));
});

// A copy button names its source: <button data-copy="#element-id">.
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  const source = document.querySelector(button.dataset.copy);
  const label = button.textContent;
  if (navigator.clipboard) {
    await navigator.clipboard.writeText(source.textContent.trim());
    button.textContent = gettext("Copied");
  } else {
    // Browsers lend the clipboard to pages under HTTPS only.
    getSelection().selectAllChildren(source);
    button.textContent = gettext("Selected: copy it");
  }
  setTimeout(() => (button.textContent = label), 1500);
});

document.addEventListener("htmx:beforeSwap", (event) => {
  // 422 carries the form with its errors: shown like a success.
  if (event.detail.xhr.status === 422) {
    event.detail.shouldSwap = true;
    event.detail.isError = false;
  }
});

// What a person has unfolded stays unfolded, and what they have scrolled stays where it is, when
// polling replaces it. Several parts may be on their way at once.
const unfolded = new Set();
const scrolled = new Map();
document.addEventListener("htmx:beforeSwap", (event) => {
  if (!event.detail.shouldSwap) return;
  for (const { id, open } of event.target.querySelectorAll("details[id]")) open ? unfolded.add(id) : unfolded.delete(id);
  for (const part of event.target.querySelectorAll("[id][data-keep-scroll]")) scrolled.set(part.id, [part.scrollTop, part.scrollLeft]);
});
document.addEventListener("htmx:afterSettle", (event) => {
  for (const details of event.target.querySelectorAll("details[id]")) {
    if (unfolded.delete(details.id)) details.open = true;
  }
  for (const part of event.target.querySelectorAll("[id][data-keep-scroll]")) {
    [part.scrollTop, part.scrollLeft] = scrolled.get(part.id) ?? [0, 0];
    scrolled.delete(part.id);
  }
});

// A request that htmx could not do is said aloud instead of failing silently. What a page asks by
// itself every few seconds is said once, and so is that it works again.
const failing = new Map(); // path -> what was said of it

function isPolled({ requestConfig }) {
  return requestConfig.verb === "get" && !requestConfig.triggeringEvent;
}

function pathAsked({ pathInfo }) {
  return pathInfo.requestPath.split("?")[0];
}

function complain({ detail }, words) {
  const path = pathAsked(detail);
  const said = isPolled(detail) && [...failing.values()].includes(words);
  if (isPolled(detail)) failing.set(path, words);
  if (!said) toast(words, { error: true });
}

// What the server itself says of an error (config/errors.py).
function wordsOf(xhr) {
  return xhr.getResponseHeader("Content-Type")?.startsWith("text/plain") ? xhr.responseText : "";
}

document.addEventListener("htmx:responseError", (event) => {
  const status = event.detail.xhr.status;
  if (status === 401 && isPolled(event.detail)) location.reload(); // to the log-in, which leads back here
  else if (status === 401) complain(event, LOGGED_OUT);
  else if (status === 403) complain(event, gettext("You may not do that any more. Reload the page and log in again."));
  else if (status === 404) complain(event, gettext("This no longer exists. Reload the page."));
  else complain(event, wordsOf(event.detail.xhr) || gettext("The server answered with error %(status)s.", { status }));
});
document.addEventListener("htmx:sendError", (event) => complain(event, gettext("The server cannot be reached.")));
document.addEventListener("htmx:afterRequest", ({ detail }) => {
  if (!detail.successful || !failing.delete(pathAsked(detail))) return;
  if (!failing.size) toast(gettext("The server answers again."));
});

// Somebody who is logged out meanwhile is sent to log in, and comes back to this page.
document.addEventListener("htmx:beforeSwap", ({ detail }) => {
  const answered = detail.pathInfo.responsePath?.split("?")[0];
  if (!isPolled(detail) || !answered || answered === pathAsked(detail)) return;
  detail.shouldSwap = false;
  location.reload();
});

// On a narrow screen the open tab may lie outside the row that scrolls.
document.querySelector(".tabs [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
