// The elements people touch: buttons, menus, fields. A `surface` (message, modal, App Home) says what touching does.

import { make } from "./dom.js";
import { ask } from "./asking.js";
import { openMenu } from "./menu.js";
import { wordsOf } from "./text.js";

let numbers = 0;

/** Build one element of a block; null where the page does not draw its type. */
export function element(spec, block, surface) {
  const build = {
    button: pushButton,
    overflow,
    feedback_buttons: feedback,
    icon_button: iconButton,
    image: picture,
    static_select: select,
    users_select: select,
    channels_select: select,
    conversations_select: select,
    multi_static_select: choices,
    checkboxes: choices,
    radio_buttons: choices,
    plain_text_input: textInput,
    number_input: textInput,
    datepicker: textInput,
  }[spec.type];
  return build ? build(spec, block, surface) : null;
}

async function press(control, spec, block, surface, value = null) {
  if (spec.confirm && !(await ask(spec.confirm, surface.people))) return;
  control.disabled = true;
  control.setAttribute("aria-busy", "true");
  try {
    await surface.touch(block, spec, value);
  } finally {
    control.disabled = false;
    control.removeAttribute("aria-busy");
  }
}

function pushButton(spec, block, surface) {
  const style = spec.style ? ` ${spec.style}` : "";
  const attributes = { type: "button", class: `button${style}`, "aria-label": spec.accessibility_label };
  const control = make("button", attributes, wordsOf(spec.text));
  control.addEventListener("click", () => {
    if (spec.url && /^https?:/i.test(spec.url) && !surface.follow(spec.url)) window.open(spec.url, "_blank", "noopener,noreferrer");
    press(control, spec, block, surface);
  });
  return control;
}

function overflow(spec, block, surface) {
  const control = make("button", { type: "button", class: "quiet", "aria-haspopup": "menu", "aria-label": "More options" }, "⋯");
  const items = () => spec.options.map((option) => ({
    words: wordsOf(option.text),
    choose: () => press(control, spec, block, surface, option.value),
  }));
  control.addEventListener("click", () => openMenu(control, items()));
  return control;
}

function feedback(spec, block, surface) {
  return make("span", { class: "pair", role: "group", "aria-label": "Feedback" },
    [[spec.positive_button, "👍"], [spec.negative_button, "👎"]].map(([choice, sign]) => {
      const control = make("button", { type: "button", class: "quiet", "aria-label": choice.accessibility_label }, `${sign} ${wordsOf(choice.text)}`);
      control.addEventListener("click", () => press(control, spec, block, surface, choice.value));
      return control;
    }));
}

function iconButton(spec, block, surface) {
  const control = make("button", { type: "button", class: "quiet", "aria-label": spec.accessibility_label ?? wordsOf(spec.text), title: wordsOf(spec.text) }, "🗑");
  control.addEventListener("click", () => press(control, spec, block, surface));
  return control;
}

/** An image. The page loads nothing from elsewhere, so a remote one is its description and a link. */
export function picture(spec, _block, surface) {
  if (spec.slack_file?.id) return make("img", { src: surface.fileUrl(spec.slack_file.id), alt: spec.alt_text, loading: "lazy" });
  return make("a", { class: "remote", href: /^https?:/i.test(spec.image_url ?? "") ? spec.image_url : null, target: "_blank", rel: "noopener noreferrer" }, `🖼 ${spec.alt_text}`);
}

// Fields: each element node carries `field`, with which forms read it.

function held(spec, block, surface) {
  const key = `${block.block_id} ${spec.action_id}`;
  if (surface.entered.has(key)) return surface.entered.get(key);
  const kept = surface.state?.[block.block_id]?.[spec.action_id];
  const entry = kept?.type === spec.type ? kept : {};
  const option = (one) => one?.value ?? null;
  switch (spec.type) {
    case "datepicker": return entry.selected_date ?? spec.initial_date ?? "";
    case "number_input":
    case "plain_text_input": return entry.value ?? spec.initial_value ?? "";
    case "checkboxes":
    case "multi_static_select": return (entry.selected_options ?? spec.initial_options ?? []).map(option);
    case "users_select": return entry.selected_user ?? spec.initial_user ?? "";
    case "channels_select": return entry.selected_channel ?? spec.initial_channel ?? "";
    case "conversations_select": return entry.selected_conversation ?? spec.initial_conversation ?? "";
    default: return option(entry.selected_option) ?? option(spec.initial_option) ?? "";
  }
}

/** Remember what was entered, and tell the bot at once where the block asks for it. */
function keep(control, spec, block, surface, value, settled) {
  surface.entered.set(`${block.block_id} ${spec.action_id}`, value);
  forgive(control, block, surface);
  const told = block.type !== "input" || block.dispatch_action;
  if (told && settled) press(control, spec, block, surface, value);
}

/** What stood against a field was about what it held before. */
function forgive(control, block, surface) {
  if (!surface.errors?.delete(block.block_id)) return;
  const node = control.closest(".block");
  node.querySelector(".error").hidden = true;
  node.querySelector("[aria-invalid]")?.removeAttribute("aria-invalid");
}

function optionsOf(spec, surface) {
  if (spec.type === "users_select") return [["", Object.entries(surface.people).filter(([id, one]) => one.kind === "person" && id.startsWith("U")).map(([id, one]) => [id, one.name])]];
  if (spec.type === "channels_select" || spec.type === "conversations_select") return [["", surface.channels().filter((one) => one.name && !one.archived).map((one) => [one.id, `#${one.name}`])]];
  const pairs = (options) => options.map((option) => [option.value, wordsOf(option.text)]);
  return spec.option_groups ? spec.option_groups.map((group) => [wordsOf(group.label), pairs(group.options)]) : [["", pairs(spec.options ?? [])]];
}

function select(spec, block, surface) {
  const control = make("select", { id: `field-${++numbers}`, "aria-label": block.type === "input" ? null : wordsOf(spec.placeholder) || "Choose" });
  const chosen = held(spec, block, surface);
  control.append(make("option", { value: "" }, wordsOf(spec.placeholder) || "Choose an option"));
  for (const [label, pairs] of optionsOf(spec, surface)) {
    const options = pairs.map(([value, words]) => make("option", { value, selected: value === chosen }, words));
    control.append(...(label ? [make("optgroup", { label }, options)] : options));
  }
  control.addEventListener("change", () => keep(control, spec, block, surface, control.value, control.value !== ""));
  control.field = { read: () => control.value || null, control };
  return control;
}

/** Radio buttons, checkboxes and multi-selects: one row for each option. */
function choices(spec, block, surface) {
  const many = spec.type !== "radio_buttons";
  const name = `field-${++numbers}`;
  const chosen = [held(spec, block, surface)].flat();
  const group = make("div", { class: "choices", role: many ? "group" : "radiogroup" });
  const boxes = [];
  for (const [label, pairs] of optionsOf(spec, surface)) {
    if (label) group.append(make("p", { class: "hint" }, label));
    for (const [value, words] of pairs) {
      const box = make("input", { type: many ? "checkbox" : "radio", name, value, checked: chosen.includes(value) });
      const described = (spec.options ?? []).find((option) => option.value === value)?.description;
      boxes.push(box);
      group.append(make("label", {}, box, make("span", {}, words, described ? make("small", {}, wordsOf(described)) : null)));
    }
  }
  const most = spec.max_selected_items ?? Infinity;
  const ticked = () => boxes.filter((box) => box.checked).map((box) => box.value);
  const read = () => (many ? ticked() : (ticked()[0] ?? null));
  const limit = () => boxes.forEach((box) => (box.disabled = !box.checked && ticked().length >= most && many));
  limit();
  group.addEventListener("change", () => {
    limit();
    keep(group, spec, block, surface, read(), true);
  });
  group.field = { read, control: boxes[0] ?? group };
  return group;
}

function textInput(spec, block, surface) {
  const attributes = {
    id: `field-${++numbers}`,
    placeholder: wordsOf(spec.placeholder) || null,
    minlength: spec.min_length,
    maxlength: spec.max_length ?? 3000,
    inputmode: spec.type === "number_input" ? (spec.is_decimal_allowed ? "decimal" : "numeric") : null,
    value: held(spec, block, surface),
    autocomplete: "off",
  };
  const control = spec.multiline ? make("textarea", { rows: 4, ...attributes }) : make("input", { type: spec.type === "datepicker" ? "date" : "text", ...attributes });
  control.addEventListener("input", () => keep(control, spec, block, surface, control.value, false));
  if (block.dispatch_action) control.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || spec.multiline) return;
    event.preventDefault();
    keep(control, spec, block, surface, control.value, true);
  });
  control.field = { read: () => control.value || null, control, least: spec.min_length ?? 0, figure: figureOf(spec) };
  return control;
}

/** What a number must be, as a sentence where it is not; null for other fields. */
function figureOf(spec) {
  if (spec.type !== "number_input") return null;
  const [least, most] = [Number(spec.min_value ?? -Infinity), Number(spec.max_value ?? Infinity)];
  const range = [spec.min_value === undefined ? "" : ` from ${spec.min_value}`, spec.max_value === undefined ? "" : ` to ${spec.max_value}`].join("");
  return (text) => {
    const written = (spec.is_decimal_allowed ? /^-?\d+(\.\d+)?$/ : /^-?\d+$/).test(text);
    return written && Number(text) >= least && Number(text) <= most ? null : `Please enter a ${spec.is_decimal_allowed ? "number" : "whole number"}${range}.`;
  };
}
