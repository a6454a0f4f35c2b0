// What kinds of marks are called on the page: the menu of kinds (_span_menu.html) has the words.
export function kindName(kind) {
  return document.querySelector(`#span-menu [data-kind="${CSS.escape(kind)}"]`)?.dataset.words ?? kind;
}
