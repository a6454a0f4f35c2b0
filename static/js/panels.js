/*
 * The last look at a run's panels.
 *
 * Each panel of a run page asks for itself on a timer of its own, so they learn at different
 * times that the run has ended. As soon as one of them says so, each that still shows the run
 * under way is asked again at once: what came since its last look is on the page together with
 * the word that it is all.
 *
 *   <section id="samples" data-panel="moving" hx-get="…" hx-trigger="every 8s, look-again">
 *
 * A panel is asked once. Whatever goes wrong then, its own timer goes on until it says "ended".
 */

const asked = new Set();

function lookAgain() {
  const panels = [...document.querySelectorAll("[data-panel]")];
  if (!panels.some((panel) => panel.dataset.panel === "ended")) return;
  for (const panel of panels) {
    // What is on its way may have been answered before the end: its arrival leads here again.
    const waits = panel.classList.contains("htmx-request");
    if (panel.dataset.panel === "ended" || waits || asked.has(panel.id)) continue;
    asked.add(panel.id);
    panel.dispatchEvent(new CustomEvent("look-again"));
  }
}

document.addEventListener("htmx:afterSettle", lookAgain);
// "Nothing new" (204) is an answer that settles nothing. An error waits for the timer.
document.addEventListener("htmx:afterRequest", (event) => {
  if (event.detail.xhr.status === 204) lookAgain();
});
