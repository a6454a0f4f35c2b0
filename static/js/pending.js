/*
 * Says what this browser keeps: answers that wait to be sent, and why, when it takes longer than
 * usual; answers that were not accepted, which their owner sends again or throws away; and answers
 * of other people, which wait until those log in here again.
 */

import { gettext, ngettext } from "./texts.js";

const LATE_MS = 1500;
const WHY = {
  login: gettext("You are logged out. Log in again in another tab:"),
  other: gettext("Somebody else is logged in in this browser. Log in again in another tab:"),
};

function write(element, words) {
  element.hidden = !words;
  if (element.textContent !== words) element.textContent = words; // else it would be read out again
}

function waitingWords({ waiting, trouble, unkept }) {
  const late = waiting.some((entry) => Date.now() - entry.at > LATE_MS);
  if (!waiting.length || !(trouble || late)) return "";
  const wait = ngettext("%(count)s answer is waiting to be sent", "%(count)s answers are waiting to be sent", waiting.length);
  const after = unkept && gettext("This browser has no room to keep answers: leave this tab open until they are sent");
  return [...(WHY[trouble] ? [`${WHY[trouble]} `] : []), wait, ...(after ? [`. ${after}`] : [])].join("");
}

function othersWords(others) {
  return others
    .map(([name, count]) => ngettext("%(count)s answer of %(name)s: kept in this browser, sent when %(name)s logs in here", "%(count)s answers of %(name)s: kept in this browser, sent when %(name)s logs in here", count, { name }))
    .join("; ");
}

/** place: the element of components/_pending.html. */
export function tellPending(outbox, place) {
  const [waiting, refused, others, dialog] = ["waiting", "refused", "others", "dialog"].map((part) => place.querySelector(`[data-pending="${part}"]`));
  const tell = () => {
    write(waiting, waitingWords(outbox));
    write(refused, outbox.refused.length ? ngettext("%(count)s answer not accepted", "%(count)s answers not accepted", outbox.refused.length) : "");
    write(others, othersWords(outbox.others));
    if (dialog.open) list();
  };
  const list = () => {
    if (!outbox.refused.length) return dialog.close();
    return dialog.querySelector("ul").replaceChildren(...outbox.refused.map((entry) => line(dialog, entry)));
  };
  refused.addEventListener("click", () => (list(), dialog.showModal()));
  dialog.addEventListener("click", ({ target }) => {
    if (target.dataset.again) outbox.sendAgain(target.dataset.again);
    if (target.dataset.discard) outbox.discard(target.dataset.discard);
  });
  outbox.addEventListener("change", tell);
  setInterval(tell, 1000);
}

/** One answer that was not accepted: when it was given, why not, and the words that were written. */
function line(dialog, entry) {
  const item = dialog.querySelector("template").content.firstElementChild.cloneNode(true);
  item.querySelector("time").textContent = new Date(entry.at).toLocaleString(document.documentElement.lang);
  item.querySelector("[data-reason]").textContent = entry.refused.reason;
  item.querySelector("[data-written]").textContent = entry.fields.note ?? "";
  item.querySelector("[data-again]").dataset.again = entry.id;
  item.querySelector("[data-discard]").dataset.discard = entry.id;
  return item;
}
