// The small dialog that a confirm object asks for, and the words that pass by at the bottom.

import { make } from "./dom.js";
import { textOf, wordsOf } from "./text.js";

const question = document.getElementById("question");
const toasts = document.getElementById("toasts");
const TOAST_MILLISECONDS = 9000;

/** Ask before something is done; whether the person goes on. */
export function ask(confirm, people) {
  const yes = make("button", { class: `button ${confirm.style === "danger" ? "danger" : "primary"}`, type: "button" }, wordsOf(confirm.confirm));
  const no = make("button", { class: "button", type: "button" }, wordsOf(confirm.deny));
  question.replaceChildren(
    make("h2", { id: "question-title" }, wordsOf(confirm.title)),
    make("div", {}, textOf(confirm.text, people)),
    make("footer", {}, no, yes),
  );
  return new Promise((resolve) => {
    const end = (answer) => () => {
      question.close();
      resolve(answer);
    };
    yes.addEventListener("click", end(true));
    no.addEventListener("click", end(false));
    question.addEventListener("cancel", () => resolve(false), { once: true });
    question.showModal();
  });
}

/** Say something that passes, such as why Slack would refuse what was just done. */
export function say(words) {
  const toast = make("div", { class: "toast" }, words, make("button", { type: "button", class: "quiet", "aria-label": "Dismiss", on: { click: () => toast.remove() } }, "✕"));
  toasts.append(toast);
  toasts.hidePopover();
  toasts.showPopover(); // on top of a dialog that opened since
  setTimeout(() => toast.remove(), TOAST_MILLISECONDS);
}
