/*
 * Presses that were not meant for what they hit. What is on screen changes under the pointer at
 * once: the second press of a double click would answer a comparison that nobody has seen. A press
 * made by a key or a script has no place and no count (detail 0); it is for its own handler to judge.
 */

const MULTI_CLICK_MS = 500; // the usual limit of systems for a double click
const NEAR_PX = 32; // the second tap of a finger

let shownAt = 0; // when the present contents were painted; Infinity while they are not
let shows = 0;
let press = null; // the last press, and whether it was one of several or came before the paint

/** What is on screen changes now: until it is painted, no press can mean it. */
export function shown() {
  const mine = ++shows;
  shownAt = Infinity;
  // A frame's callback runs before it is painted; a message sent from it arrives after.
  requestAnimationFrame(() => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      if (mine === shows) shownAt = performance.now();
    };
    port2.postMessage(null);
  });
}

addEventListener(
  "pointerdown",
  (event) => {
    const close = press && event.timeStamp - press.at < MULTI_CLICK_MS;
    const again = close && Math.hypot(event.clientX - press.x, event.clientY - press.y) < NEAR_PX;
    press = { at: event.timeStamp, x: event.clientX, y: event.clientY, again, show: shows, late: event.timeStamp < shownAt };
  },
  true,
);

/** Whether a click was made for what is on screen, and by itself. */
export function isMeant(event) {
  if (event.detail === 0) return true;
  if (event.detail > 1) return false;
  // Assistive software may send a click that no press came before.
  if (!press || press.clicked) return event.timeStamp >= shownAt;
  press.clicked = true;
  return !press.again && !press.late && press.show === shows;
}
