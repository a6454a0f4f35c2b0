// A dispute is ruled on by key. The digits answer the first question, after "about the same" the
// second; C takes both answers back. Enter sends what the form shows.

const form = document.querySelector("form[data-ruling]");

function chosen(name) {
  return form.querySelector(`input[name="${name}"]:checked`);
}

function choose(value) {
  const name = chosen("more_hallucinated")?.value === "tie" ? "more_helpful" : "more_hallucinated";
  form.querySelector(`input[name="${name}"][value="${value}"]`).click();
}

const commands = {
  1: () => choose("1"),
  2: () => choose("2"),
  0: () => choose("tie"),
  c: () => form.reset(),
  n: () => form.elements.note.focus(),
  l: () => document.querySelector("[data-later]")?.click(),
  enter: () => form.requestSubmit(),
};

document.addEventListener("keydown", (event) => {
  if (!form || event.repeat || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Escape" && event.target === form.elements.note) return void event.target.blur();
  if (event.target.closest("textarea, select, dialog, input:not([type=radio])")) return;
  if (event.key === "Enter" && event.target.closest("a, button, summary, [role=button]")) return;
  const command = commands[event.key.toLowerCase()];
  if (!command) return;
  event.preventDefault();
  command();
});
