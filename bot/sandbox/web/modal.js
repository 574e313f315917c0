// The modal in front of the person: fields that keep what was typed, errors below them, a submit button that waits.

import { say } from "./asking.js";
import { showBlocks } from "./blocks.js";
import { make } from "./dom.js";
import { wordsOf } from "./text.js";

const REQUIRED = "Please complete this required field.";

export class Modal {
  #dialog;
  #act;
  #surface;
  #blocks = make("div", { class: "blocks" });
  #view = null;
  #words = "";

  /** `act(gesture)` does something as the person; `surface(touch)` is what blocks need to know. */
  constructor(dialog, act, surface) {
    this.#dialog = dialog;
    this.#act = act;
    this.#surface = surface((block, spec, value) => act({ do: "click", where: "modal", block_id: block.block_id, action_id: spec.action_id, value }));
    this.#surface.errors = new Map();
    dialog.addEventListener("cancel", (event) => {
      event.preventDefault();
      this.#close();
    });
  }

  /** Show what is in front, `{view, depth}`, or nothing. */
  show(front) {
    if (!front) {
      if (this.#view) this.#forget();
      this.#view = null;
      if (this.#dialog.open) this.#dialog.close();
      return;
    }
    const { view, depth } = front;
    const another = view.id !== this.#view?.id;
    if (another) this.#forget();
    else if (view.hash === this.#view.hash) return;
    else this.#surface.errors.clear();
    this.#view = view;
    this.#surface.state = view.state.values;
    this.#frame(view, depth);
    showBlocks(this.#blocks, view.blocks, this.#surface);
    if (!this.#dialog.open) this.#dialog.showModal();
    if (another) {
      this.#blocks.scrollTop = 0;
      this.#blocks.querySelector("textarea, input, select")?.focus({ preventScroll: true });
    }
  }

  #forget() {
    this.#surface.entered.clear();
    this.#surface.errors.clear();
    this.#blocks.replaceChildren();
    this.#blocks.shown = undefined;
  }

  /** Title and buttons; left as they are while their words are, so that the fields keep focus and scroll. */
  #frame(view, depth) {
    const words = JSON.stringify([view.title, view.close, view.submit, depth]);
    if (words === this.#words) return;
    this.#words = words;
    const close = make("button", { type: "button", class: "quiet", "aria-label": depth > 1 ? "Back" : "Close" }, depth > 1 ? "‹" : "✕");
    const cancel = make("button", { type: "button", class: "button" }, wordsOf(view.close) || "Cancel");
    for (const control of [close, cancel]) control.addEventListener("click", () => this.#close());
    const submit = view.submit ? make("button", { type: "submit", class: "button primary" }, wordsOf(view.submit)) : null;
    const form = make("form", { novalidate: true }, make("header", {}, make("h2", { id: "modal-title" }, wordsOf(view.title)), close), this.#blocks, make("footer", {}, cancel, submit));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (submit && !submit.disabled) this.#submit(submit);
    });
    this.#dialog.replaceChildren(form);
  }

  async #submit(button) {
    const fields = [...this.#blocks.children].map((node) => node.field).filter((field) => field?.read);
    const values = Object.fromEntries(fields.map((field) => [field.block.block_id, field.read()]));
    const missing = new Map();
    for (const { block, least, figure } of fields) {
      const value = values[block.block_id];
      if (!block.optional && (value === null || value.length === 0)) missing.set(block.block_id, REQUIRED);
      else if (figure && value && figure(value)) missing.set(block.block_id, figure(value));
      else if (least && value && value.length < least) missing.set(block.block_id, `At least ${least} characters, please.`);
    }
    for (const field of fields) this.#surface.entered.set(`${field.block.block_id} ${field.block.element.action_id}`, held(values[field.block.block_id]));
    if (missing.size) return this.#mark(missing);
    button.disabled = true;
    button.setAttribute("aria-busy", "true");
    const asked = this.#view;
    const done = await this.#act({ do: "submit", values });
    button.disabled = false;
    button.removeAttribute("aria-busy");
    if (this.#view?.id === asked.id && done.errors) this.#mark(new Map(Object.entries(done.errors)));
  }

  #mark(errors) {
    this.#surface.errors.clear();
    for (const [block, sentence] of errors) this.#surface.errors.set(block, sentence);
    showBlocks(this.#blocks, this.#view.blocks, this.#surface);
    const first = [...this.#blocks.children].find((node) => errors.has(node.dataset.block));
    first?.field?.control?.focus();
    first?.scrollIntoView({ block: "nearest" });
  }

  async #close() {
    const done = await this.#act({ do: "close" });
    if (done.problem) say(done.problem);
  }
}

/** What a field holds after it was read: fields give null for nothing, and are filled with an empty text. */
const held = (value) => value ?? "";
