/*
 * Answers on their way to the server. Each waits in this browser until the server has it, so that
 * neither a lost network nor a closed tab loses one. Sending twice is harmless: an answer carries
 * a UUID by which the server knows it again.
 *
 * One localStorage key per answer (not one list), so that two tabs never overwrite each other.
 */

const RETRY_SECONDS = [1, 2, 4, 8, 15, 30];

function csrfToken() {
  // Read at the time of sending: logging in again in another tab changes it.
  return document.cookie.match(/(?:^|; )csrftoken=([^;]+)/)?.[1] ?? "";
}

export class Outbox extends EventTarget {
  /** Events: "change" (entries or trouble changed), "sent" {entry, text}, "refused" {entry, text}. */
  constructor(owner) {
    super();
    this.prefix = `factloop.outbox.${owner}.`;
    this.inFlight = null;
    this.failures = 0;
    this.trouble = null; // null | "network" | "login"
    addEventListener("online", () => this.flush());
    addEventListener("storage", () => this.dispatchEvent(new Event("change")));
  }

  get entries() {
    return Object.keys(localStorage)
      .filter((key) => key.startsWith(this.prefix))
      .map((key) => JSON.parse(localStorage.getItem(key)))
      .sort((a, b) => a.at - b.at);
  }

  /** token: the assignment answered, so that the page can say what it still holds. */
  add(url, fields, token) {
    const entry = { id: fields.client_uuid, url, fields, token, at: Date.now() };
    localStorage.setItem(this.prefix + entry.id, JSON.stringify(entry));
    this.dispatchEvent(new Event("change"));
    this.flush();
    return entry;
  }

  /** Takes an answer back before it was sent; false when it is too late for that. */
  take(id) {
    if (this.inFlight === id || localStorage.getItem(this.prefix + id) === null) return false;
    this.forget(id);
    return true;
  }

  forget(id) {
    localStorage.removeItem(this.prefix + id);
    this.dispatchEvent(new Event("change"));
  }

  /** Sends what waits, oldest first; one flush at a time. */
  flush() {
    clearTimeout(this.timer);
    this.flushing ??= this.sendAll().finally(() => (this.flushing = null));
    return this.flushing;
  }

  async sendAll() {
    for (let entry = this.entries[0]; entry; entry = this.entries[0]) {
      this.inFlight = entry.id;
      const trouble = await this.send(entry);
      this.inFlight = null;
      this.trouble = trouble;
      this.dispatchEvent(new Event("change"));
      if (trouble) {
        const wait = RETRY_SECONDS[Math.min(this.failures, RETRY_SECONDS.length - 1)];
        this.failures += 1;
        this.timer = setTimeout(() => this.flush(), wait * 1000);
        return;
      }
      this.failures = 0;
    }
  }

  async send(entry) {
    let answer;
    try {
      answer = await fetch(entry.url, {
        method: "POST",
        body: new URLSearchParams(entry.fields),
        headers: { "X-CSRFToken": csrfToken(), "HX-Request": "true" },
        redirect: "manual",
        keepalive: true,
      });
    } catch {
      return "network";
    }
    if (answer.type === "opaqueredirect" || answer.status === 401) return "login";
    if (answer.status === 408 || answer.status === 429 || answer.status >= 500) return "network";
    const text = await answer.text().catch(() => "");
    this.forget(entry.id);
    this.dispatchEvent(new CustomEvent(answer.ok ? "sent" : "refused", { detail: { entry, text, status: answer.status } }));
    return null;
  }
}

/** POST that answers with a fragment; throws when there is none (network, log-in, error). */
export async function postFragment(url, fields) {
  const answer = await fetch(url, {
    method: "POST",
    body: new URLSearchParams(fields),
    headers: { "X-CSRFToken": csrfToken(), "HX-Request": "true" },
    redirect: "manual",
  });
  if (!answer.ok) throw new Error(answer.type === "opaqueredirect" ? "You are logged out." : await answer.text());
  return answer.text();
}
