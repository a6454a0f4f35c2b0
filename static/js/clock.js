/* Seconds with the page visible and in use. */

const IDLE_SECONDS = 30;

class Clock {
  constructor() {
    this.restart();
    setInterval(() => this.tick(), 500);
    for (const name of ["pointermove", "pointerdown", "keydown", "wheel", "scroll"]) {
      addEventListener(name, () => (this.lastUse = performance.now()), { passive: true, capture: true });
    }
  }

  restart() {
    this.seconds = 0;
    this.lastUse = this.lastTick = performance.now();
  }

  tick() {
    const now = performance.now();
    const inUse = !document.hidden && now - this.lastUse < IDLE_SECONDS * 1000;
    if (inUse) this.seconds += Math.min((now - this.lastTick) / 1000, 2);
    this.lastTick = now;
  }

  /** Seconds since the restart, up to now. */
  read() {
    this.tick();
    return this.seconds;
  }

  /** Whether nobody has touched the page for so long. */
  idleFor(seconds) {
    return document.hidden || performance.now() - this.lastUse > seconds * 1000;
  }
}

export const clock = new Clock();
