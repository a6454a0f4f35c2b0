// One short message above the lower edge, also read out by screen readers.
import { gettext } from "./texts.js";

export function toast(text, { error = false } = {}) {
  const element = document.createElement("div");
  element.className = error ? "toast toast-error" : "toast";
  const close = document.createElement("button");
  close.type = "button";
  close.dataset.dismiss = "";
  close.setAttribute("aria-label", gettext("Dismiss this message"));
  close.textContent = "×";
  const words = document.createElement("span");
  words.textContent = text;
  element.append(words, close);
  document.getElementById("toasts").append(element);
  setTimeout(() => element.remove(), error ? 10000 : 4000);
}
