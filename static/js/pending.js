/* Says that answers wait to be sent, and why, when it takes longer than usual. */

const LATE_MS = 1500;

export function tellPending(outbox, notice) {
  const tell = () => {
    const { waiting, trouble, unkept } = outbox;
    const late = waiting.some((entry) => Date.now() - entry.at > LATE_MS);
    notice.hidden = !waiting.length || !(trouble || late);
    if (notice.hidden) return;
    const count = waiting.length === 1 ? "1 answer is" : `${waiting.length} answers are`;
    const before = trouble === "login" ? "Log in again in another tab: " : "";
    const after = unkept ? ". This browser has no room to keep answers: leave this tab open until they are sent" : "";
    const words = `${before}${count} waiting to be sent${after}`;
    if (notice.textContent !== words) notice.textContent = words; // else it would be read out again
  };
  outbox.addEventListener("change", tell);
  setInterval(tell, 1000);
}
