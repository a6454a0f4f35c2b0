/*
 * Says what this browser keeps: answers that wait to be sent, and why, when it takes longer than
 * usual; answers that were not accepted, which their owner sends again or throws away; and answers
 * of other people, which wait until those log in here again.
 */

const LATE_MS = 1500;
const WHY = {
  login: "You are logged out. Log in again in another tab: ",
  other: "Somebody else is logged in in this browser. Log in again in another tab: ",
};

const answers = (count) => (count === 1 ? "1 answer" : `${count} answers`);

function write(element, words) {
  element.hidden = !words;
  if (element.textContent !== words) element.textContent = words; // else it would be read out again
}

function waitingWords({ waiting, trouble, unkept }) {
  const late = waiting.some((entry) => Date.now() - entry.at > LATE_MS);
  if (!waiting.length || !(trouble || late)) return "";
  const verb = waiting.length === 1 ? "is" : "are";
  const after = unkept ? ". This browser has no room to keep answers: leave this tab open until they are sent" : "";
  return `${WHY[trouble] ?? ""}${answers(waiting.length)} ${verb} waiting to be sent${after}`;
}

function othersWords(others) {
  return others.map(([name, count]) => `${answers(count)} of ${name}: kept in this browser, sent when ${name} logs in here`).join("; ");
}

/** place: the element of components/_pending.html. */
export function tellPending(outbox, place) {
  const [waiting, refused, others, dialog] = ["waiting", "refused", "others", "dialog"].map((part) => place.querySelector(`[data-pending="${part}"]`));
  const tell = () => {
    write(waiting, waitingWords(outbox));
    write(refused, outbox.refused.length ? `${answers(outbox.refused.length)} not accepted` : "");
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
  item.querySelector("time").textContent = new Date(entry.at).toLocaleString();
  item.querySelector("[data-reason]").textContent = entry.refused.reason;
  item.querySelector("[data-written]").textContent = entry.fields.note ?? "";
  item.querySelector("[data-again]").dataset.again = entry.id;
  item.querySelector("[data-discard]").dataset.discard = entry.id;
  return item;
}
