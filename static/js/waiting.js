/*
 * Where answers wait until the server has them: IndexedDB, one record each, so that they outlive
 * the tab and the browser. Where the browser has no room or no database, an answer is held in this
 * page's memory instead, and `unkept` says so.
 *
 * Tabs share the database. Before sending, a tab takes an answer for itself for a while in one
 * transaction, so that two tabs do not send the same one; the server would know it by its UUID.
 */

import { gettext } from "./texts.js";

const NAME = "factloop";
const STORE = "waiting";
const TAKEN_MS = 15_000;

const inOrder = (entries) => entries.sort((one, other) => one.at - other.at);

function done(request) {
  return new Promise((resolve, reject) => {
    request.addEventListener("success", () => resolve(request.result));
    request.addEventListener("error", () => reject(request.error));
  });
}

export class Waiting {
  /** owner, name: whose answers; those of other people in this browser wait until they are back. */
  constructor(owner, name = "") {
    Object.assign(this, { owner, name });
    // The same after a reload, which may cut off a sending.
    this.tab = sessionStorage.getItem("tab") ?? `${Date.now()}-${Math.random()}`;
    sessionStorage.setItem("tab", this.tab);
    this.memory = new Map();
    this.opening = null;
  }

  /** How many answers would be lost with this tab. */
  get unkept() {
    return this.memory.size;
  }

  /** The owner's answers, oldest first; one that the server did not accept has ``refused``. */
  async all() {
    const kept = await this.run("readonly", (store) => this.kept(store)).catch(() => []);
    const both = new Map([...this.memory, ...kept.map((entry) => [entry.id, entry])]);
    return inOrder([...both.values()]);
  }

  /** [name, count] of the other people whose answers this browser keeps. */
  async others() {
    const kept = await this.run("readonly", (store) => done(store.getAll())).catch(() => []);
    const counts = new Map();
    for (const { owner, name } of kept) {
      if (owner === this.owner) continue;
      const [, count] = counts.get(owner) ?? [name, 0];
      counts.set(owner, [name || gettext("somebody else"), count + 1]);
    }
    return [...counts.values()];
  }

  kept(store) {
    return done(store.index("owner").getAll(this.owner));
  }

  async add(entry) {
    // In memory first: an answer is never nowhere while the database is busy.
    this.memory.set(entry.id, entry);
    try {
      await this.run("readwrite", (store) => done(store.put({ ...entry, owner: this.owner, name: this.name })));
      this.memory.delete(entry.id);
    } catch (error) {
      console.info(`An answer is held in memory only: ${error}`);
    }
  }

  /**
   * Takes the oldest answer that no other tab is sending; `except` holds assignments to pass over.
   * Gives {entry}, or {wait: milliseconds} while another tab is sending, or {} when none waits.
   */
  async take(except = new Set()) {
    const free = (entry) => !except.has(entry.token) && !entry.refused;
    const [held] = inOrder([...this.memory.values()].filter(free));
    const taken = await this.run("readwrite", (store) => this.takeKept(store, free, held)).catch(async () => {
      // A disk without room lets nothing be written down; what is kept is sent all the same.
      const entry = (await this.all()).find(free);
      return { entry };
    });
    return taken.entry || taken.wait || !held ? taken : { entry: held };
  }

  async takeKept(store, free, held) {
    const [oldest] = inOrder((await this.kept(store)).filter(free));
    if (!oldest || (held && held.at < oldest.at)) return {};
    const now = Date.now();
    // Answers about one comparison must arrive in their order, so a later one is not taken instead.
    if (oldest.taken && oldest.taken.tab !== this.tab && oldest.taken.until > now) return { wait: oldest.taken.until - now };
    const entry = { ...oldest, taken: { tab: this.tab, until: now + TAKEN_MS } };
    await done(store.put(entry));
    return { entry };
  }

  /** Gives an answer that could not be sent back to all tabs. */
  release(id) {
    return this.set(id, { taken: null });
  }

  /** Marks an answer that the server did not accept: it is kept, and sent no more by itself. */
  refuse(entry, refused) {
    return this.set(entry.id, { refused, taken: null });
  }

  /** Takes the mark away. */
  accept(id) {
    return this.set(id, { refused: undefined });
  }

  async set(id, fields) {
    const held = this.memory.get(id);
    if (held) this.memory.set(id, { ...held, ...fields });
    await this.change(id, (store, entry) => done(store.put({ ...entry, ...fields })));
  }

  async remove(id) {
    this.memory.delete(id);
    await this.change(id, (store) => done(store.delete(id)));
  }

  /** Removes an answer that is not being sent; whether it was still there to be removed. */
  async recall(id) {
    if (this.memory.delete(id)) return true;
    const now = Date.now();
    const gone = await this.change(id, async (store, entry) => {
      if (entry.taken && entry.taken.until > now) return false;
      await done(store.delete(id));
      return true;
    });
    return gone ?? false;
  }

  change(id, work) {
    return this.run("readwrite", async (store) => {
      const entry = await done(store.get(id));
      return entry && work(store, entry);
    }).catch(() => undefined);
  }

  // --- The database -----------------------------------------------------------------------------

  /** Runs `work` in one transaction; rejects when it is not on the disk in the end. */
  async run(mode, work) {
    const database = await this.open();
    const transaction = database.transaction(STORE, mode, { durability: "strict" });
    const ended = new Promise((resolve, reject) => {
      transaction.addEventListener("complete", resolve);
      transaction.addEventListener("abort", () => reject(transaction.error ?? new Error("no room")));
    });
    ended.catch(() => {}); // it is told by the work too, which ends first
    const result = await work(transaction.objectStore(STORE));
    await ended;
    return result;
  }

  open() {
    this.opening ??= this.connect().catch((error) => {
      this.opening = null; // Perhaps there is room the next time.
      throw error;
    });
    return this.opening;
  }

  async connect() {
    const request = indexedDB.open(NAME, 1);
    request.addEventListener("upgradeneeded", () => {
      request.result.createObjectStore(STORE, { keyPath: "id" }).createIndex("owner", "owner");
    });
    const database = await done(request);
    const forget = () => (this.opening = null);
    database.addEventListener("close", forget);
    database.addEventListener("versionchange", () => {
      database.close();
      forget();
    });
    return database;
  }
}
