/*
 * Answers on their way to the server. Each waits in this browser (waiting.js) until the server has
 * it, so that neither a lost network nor a closed tab loses one. Sending twice is harmless: an
 * answer carries a UUID by which the server knows it again.
 *
 * An answer belongs to the person who gave it, and travels in their name alone. While somebody else
 * is logged in, or nobody, the server refuses it and it stays here. What the server refuses for
 * another reason stays too, marked so, until its owner sends it again or throws it away: only
 * "stored" and the owner's own word take an answer out of this browser.
 */

import { gettext } from "./texts.js";
import { Waiting } from "./waiting.js";

const RETRY_SECONDS = [1, 2, 4, 8, 15, 30];
const SENDING_SECONDS = 12; // less than another tab waits for this one
const MOST_TROUBLES = 2;
const MOST_KEPT_ALIVE = 60_000; // bytes of a request that may outlive its page: browsers refuse 64 KiB

function csrfToken() {
  // Read at the time of sending: logging in again in another tab changes it.
  return document.cookie.match(/(?:^|; )csrftoken=([^;]+)/)?.[1] ?? "";
}

/** Posts in the name of ``owner``: the server answers 401 unless it is they who are logged in. */
function post(owner, url, fields, options = {}) {
  return fetch(url, {
    method: "POST",
    body: fields instanceof URLSearchParams ? fields : new URLSearchParams(fields),
    headers: { "X-CSRFToken": csrfToken(), "HX-Request": "true", "X-Person": owner },
    redirect: "manual",
    ...options,
  });
}

/** Why the server could not look at an answer; null when it took it, or refused it. */
function troubleOf({ type, status, headers }) {
  if (status === 401 && headers.get("X-Person") === "other") return "other";
  // 403 to a member is a session or a token of forms that has changed: the answer is still good.
  if (type === "opaqueredirect" || status === 401 || status === 403) return "login";
  return status === 408 || status === 429 || status >= 500 ? "server" : null;
}

/** A gate of a network, or a proxy at work, says 200 to everything: the site says that it stored. */
const isFromElsewhere = ({ ok, headers }) => ok && !headers.has("X-Stored");

export class Outbox extends EventTarget {
  /**
   * Events: "change" (what is kept or trouble changed), "sent" and "refused" {entry, text, status},
   * the latter two in every tab, because any tab may send what another one has added.
   * owner: the pseudonym of whose answers are sent; name: what they are called on this page.
   */
  constructor(owner, name = "") {
    super();
    this.owner = owner;
    this.store = new Waiting(owner, name);
    // As last seen, what the page tells its person: their answers that wait, those that the server
    // did not accept, and those of other people who use this browser.
    this.waiting = [];
    this.refused = [];
    this.others = [];
    this.failures = 0;
    this.trouble = null; // null | "network" | "server" | "login" (nobody is) | "other" (somebody else is)
    this.sending = null; // what is on its way now
    this.flushing = null; // the promise of the flush under way
    this.asked = false; // whether a flush was asked for since the one under way began
    this.tabs = new BroadcastChannel(`factloop-waiting-${owner}`);
    this.tabs.addEventListener("message", ({ data }) => {
      if (data) this.tell(data);
      this.look();
    });
    addEventListener("online", () => this.flush());
    addEventListener("beforeunload", (event) => this.unkept && event.preventDefault());
  }

  /** How many answers would be lost if this tab were closed now. */
  get unkept() {
    return this.store.unkept;
  }

  async look() {
    const mine = await this.store.all();
    this.waiting = mine.filter((entry) => !entry.refused);
    this.refused = mine.filter((entry) => entry.refused);
    this.others = await this.store.others();
    this.dispatchEvent(new Event("change"));
    return this.waiting;
  }

  async changed() {
    await this.look();
    this.tabs.postMessage(null);
  }

  tell(detail) {
    this.dispatchEvent(new CustomEvent(detail.ok ? "sent" : "refused", { detail }));
  }

  /** token: the assignment answered, so that the page can say what it still holds. */
  async add(url, fields, token) {
    const entry = { id: fields.client_uuid, url, fields, token, at: Date.now() };
    this.waiting = [...this.waiting, entry];
    await this.store.add(entry);
    this.changed();
    this.flush();
  }

  /** Takes an answer back before it is sent; false when it is too late for that. */
  async recall(id) {
    if (this.sending === id) return false;
    const back = await this.store.recall(id);
    await this.changed();
    return back;
  }

  /** The owner's word on an answer that the server did not accept: once more, or away with it. */
  async sendAgain(id) {
    await this.store.accept(id);
    await this.changed();
    return this.flush();
  }

  async discard(id) {
    await this.store.remove(id);
    await this.changed();
  }

  /** Sends what waits, oldest first; one flush at a time. Never rejects. */
  flush() {
    this.asked = true;
    this.flushing ??= this.sendWhileAsked();
    return this.flushing;
  }

  /**
   * An answer may be added when a flush has looked for the last time and is not over yet: it is
   * sent by another round. After trouble the timer of that round does it.
   */
  async sendWhileAsked() {
    do {
      this.asked = false;
      clearTimeout(this.timer);
      await this.sendAll();
    } while (this.asked && !this.trouble);
    this.flushing = null; // in the same step as the look at `asked`: nothing falls between
  }

  async sendAll() {
    // An answer that the server fails at must not hold up those about other comparisons.
    const failed = new Set();
    let trouble = null;
    let wait = 0;
    let told = false;
    while (failed.size < MOST_TROUBLES) {
      const { entry, wait: busy } = await this.store.take(failed);
      wait = busy ?? 0;
      if (!entry) break;
      told = true;
      this.sending = entry.id;
      const now = await this.send(entry);
      this.sending = null;
      if (!now) continue;
      trouble = now;
      failed.add(entry.token);
      await this.store.release(entry.id);
      if (trouble !== "server") break;
    }
    this.trouble = trouble;
    this.failures = trouble ? this.failures + 1 : 0;
    // Without news no tab is told: two that wait for work would wake each other again and again.
    await (told ? this.changed() : this.look());
    if (trouble) wait = 1000 * RETRY_SECONDS[Math.min(this.failures, RETRY_SECONDS.length) - 1];
    // Not all browsers of a building at the same moment, when the network is back.
    if (wait) this.timer = setTimeout(() => this.flush(), wait * (0.8 + 0.4 * Math.random()));
  }

  async send(entry) {
    let answer;
    let text;
    try {
      const body = new URLSearchParams(entry.fields);
      const keepalive = body.toString().length < MOST_KEPT_ALIVE;
      answer = await post(this.owner, entry.url, body, { keepalive, signal: AbortSignal.timeout(SENDING_SECONDS * 1000) });
      text = answer.type === "opaqueredirect" ? "" : await answer.text();
    } catch {
      return "network";
    }
    const trouble = troubleOf(answer) ?? (isFromElsewhere(answer) ? "server" : null);
    if (trouble) return trouble;
    if (answer.ok) await this.store.remove(entry.id);
    else await this.store.refuse(entry, { status: answer.status, reason: reasonOf(answer.status, text) });
    const detail = { entry, text: answer.ok ? text : reasonOf(answer.status, text), ok: answer.ok, status: answer.status };
    this.tell(detail);
    this.tabs.postMessage(detail);
    return null;
  }
}

/** What the server said against an answer, for people. */
function reasonOf(status, text) {
  return status === 404 ? gettext("You may no longer answer in this project.") : text.slice(0, 300) || gettext("Error %(status)s.", { status });
}

/** The person whom the page was made for is not logged in any more. */
export class LoggedOut extends Error {}

/** POST that answers with a fragment; throws when there is none (network, log-in, error). */
export async function postFragment(url, fields) {
  const answer = await post(document.body.dataset.owner ?? "", url, fields);
  if (answer.ok) return answer.text();
  const trouble = troubleOf(answer);
  throw trouble === "login" || trouble === "other" ? new LoggedOut() : new Error(await answer.text());
}

/** A random UUID; browsers have their own only where the page came by HTTPS. */
export function freshUuid() {
  if (crypto.randomUUID) return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  [bytes[6], bytes[8]] = [(bytes[6] & 0x0f) | 0x40, (bytes[8] & 0x3f) | 0x80];
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}
