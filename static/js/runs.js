/*
 * The table of runs: what is ticked stays ticked when polling replaces the rows and on other pages.
 *
 *   <form id="chosen" data-chosen="run">…</form>   <span data-count></span>
 *   <input type="checkbox" name="run" value="12" form="chosen">
 *   <form method="post" data-sends-chosen>         does something with what is ticked
 *
 * Kept for this tab; without scripts the form sends what is ticked on the page. A list to choose
 * from is narrowed while one types: <input data-find="[data-column]">.
 */

const form = document.getElementById("chosen");
const name = form?.dataset.chosen;
const key = `chosen-${name}`;
const chosen = new Set(JSON.parse(sessionStorage.getItem(key) ?? "[]"));

// "Compare" on the page of a run leads here with that run alone ticked.
const begun = new URLSearchParams(location.search).get("choose");
if (begun && name === "run") {
  chosen.clear();
  chosen.add(begun);
}

const boxes = () => [...document.querySelectorAll(`input[type=checkbox][form=chosen][name="${name}"]`)];

function show() {
  for (const box of boxes()) box.checked = chosen.has(box.value);
  for (const count of document.querySelectorAll("[data-count]")) count.textContent = chosen.size ? ` ${chosen.size}` : "";
  form.querySelector("[data-choose-none]").hidden = !chosen.size;
  const compare = form.querySelector("[data-most]");
  compare.disabled = chosen.size > Number(compare.dataset.most);
  if (compare.disabled) compare.querySelector("[data-count]").textContent = ` ${chosen.size}: at most ${compare.dataset.most}`;
  sessionStorage.setItem(key, JSON.stringify([...chosen]));
}

if (form) {
  // A browser restores ticks after "back": what is kept decides.
  show();
  addEventListener("pageshow", show);
  document.addEventListener("htmx:afterSettle", show);
  document.addEventListener("change", ({ target }) => {
    if (!boxes().includes(target)) return;
    if (target.checked) chosen.add(target.value);
    else chosen.delete(target.value);
    show();
  });
  form.querySelector("[data-choose-none]").addEventListener("click", () => {
    chosen.clear();
    show();
  });
  // What is ticked on other pages goes along.
  const carry = ({ formData }) => {
    formData.delete(name);
    for (const value of chosen) formData.append(name, value);
  };
  form.addEventListener("formdata", carry);
  const change = document.querySelector("form[data-sends-chosen]");
  change?.addEventListener("formdata", carry);
  change?.addEventListener("submit", () => sessionStorage.removeItem(key));
}

for (const field of document.querySelectorAll("[data-find]")) {
  field.addEventListener("input", () => {
    const words = field.value.toLowerCase().split(/\s+/);
    for (const one of document.querySelectorAll(field.dataset.find)) {
      const text = one.dataset.column.toLowerCase();
      one.hidden = !words.every((word) => text.includes(word));
    }
  });
}
