// Block Kit's blocks as nodes of the document; a block that the page does not draw says so.

import { make, reconcile } from "./dom.js";
import { element, picture } from "./elements.js";
import { markdown, richText, textOf, wordsOf } from "./text.js";

const TASK_SIGNS = { pending: "○", in_progress: "◐", complete: "✓", error: "✗" };
const DRAWN = {
  section, context, actions: row, context_actions: row, input, rich_text: rich, image, table, card, alert, plan, task_card: task,
  data_table: dataTable, data_visualization: chart,
  header: (block) => make("h3", {}, wordsOf(block.text)),
  divider: () => make("hr"),
  markdown: (block) => make("div", { class: "prose" }, markdown(block.text)),
};

/** Show blocks in a container; those that have not changed keep their nodes. */
export function showBlocks(container, blocks, surface) {
  const focused = container.contains(document.activeElement) ? placeOf(document.activeElement) : null;
  const looks = (block) => JSON.stringify([block, surface.errors?.get(block.block_id) ?? ""]);
  reconcile(container, blocks, (block) => [block.block_id, looks(block)], (block) => drawn(block, surface));
  if (focused && !container.contains(document.activeElement)) restore(container, focused);
}

function drawn(block, surface) {
  const build = DRAWN[block.type];
  const node = build ? build(block, surface) : make("p", { class: "undrawn" }, `A ${block.type} block, which this page does not draw.`);
  node.classList.add("block", `block-${block.type}`);
  node.dataset.block = block.block_id;
  return node;
}

function placeOf(control) {
  const block = control.closest("[data-block]")?.dataset.block;
  return { block, start: control.selectionStart ?? null, end: control.selectionEnd ?? null };
}

function restore(container, { block, start, end }) {
  const control = container.querySelector(`[data-block="${CSS.escape(block ?? "")}"]`)?.querySelector("input, textarea, select, button");
  control?.focus();
  if (start !== null && control?.setSelectionRange && control.value !== undefined) control.setSelectionRange(start, end);
}

function section(block, surface) {
  const node = make("div", {});
  const body = make("div", { class: "body" });
  if (block.text) body.append(make("div", { class: "text" }, textOf(block.text, surface.people)));
  if (block.fields) body.append(make("div", { class: "fields" }, block.fields.map((one) => make("div", {}, textOf(one, surface.people)))));
  node.append(body);
  if (block.accessory) node.append(make("div", { class: "accessory" }, touchable(block.accessory, block, surface)));
  return node;
}

function context(block, surface) {
  return make("div", {}, block.elements.map((one) =>
    one.type === "image" ? picture(one, block, surface) : make("span", {}, textOf(one, surface.people))));
}

function row(block, surface) {
  return make("div", {}, block.elements.map((one) => touchable(one, block, surface)));
}

function touchable(spec, block, surface) {
  return element(spec, block, surface) ?? make("span", { class: "undrawn" }, `A ${spec.type}, which this page does not draw.`);
}

/** A labelled field with its hint and what stands against what was entered. */
function input(block, surface) {
  const control = touchable(block.element, block, surface);
  const problem = surface.errors?.get(block.block_id) ?? "";
  const optional = block.optional ? make("span", { class: "optional" }, " (optional)") : null;
  const grouped = control.getAttribute("role") !== null;
  const label = grouped ? make("legend", {}, wordsOf(block.label), optional) : make("label", { for: control.id }, wordsOf(block.label), optional);
  const hint = block.hint ? make("p", { class: "hint", id: `hint-${block.block_id}` }, wordsOf(block.hint)) : null;
  const error = make("p", { class: "error", role: "alert", id: `error-${block.block_id}`, hidden: !problem }, problem);
  const node = make(grouped ? "fieldset" : "div", {}, label, control, hint, error);
  const target = control.field?.control ?? control;
  target.setAttribute("aria-describedby", [hint?.id, error.id].filter(Boolean).join(" "));
  if (problem) target.setAttribute("aria-invalid", "true");
  if (!block.optional) target.setAttribute("aria-required", "true");
  node.field = { ...control.field, block };
  return node;
}

function rich(block, surface) {
  return make("div", { class: "prose" }, richText(block, surface.people));
}

function image(block, surface) {
  return make("figure", {}, block.title ? make("figcaption", {}, wordsOf(block.title)) : null, picture(block, block, surface));
}

function table(block, surface) {
  const cell = (tag) => (one) => make(tag, { scope: tag === "th" ? "col" : null }, one?.type === "rich_text" ? richText(one, surface.people) : String(one?.text ?? ""));
  const [head, ...rows] = block.rows;
  return make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Table" },
    make("table", {}, make("thead", {}, make("tr", {}, head.map(cell("th")))), make("tbody", {}, rows.map((one) => make("tr", {}, one.map(cell("td")))))));
}

const PAGE_ROWS = 5; // as Slack shows where a table does not say

/** A data table: one page of its rows at a time, under its caption. */
function dataTable(block, surface) {
  const [head, ...rows] = block.rows;
  const size = block.page_size ?? PAGE_ROWS;
  const node = make("div", {});
  const pages = Math.ceil(rows.length / size);
  const turn = (page) => {
    const shown = rows.slice(page * size, (page + 1) * size);
    const region = table({ rows: [head, ...shown] }, surface);
    region.setAttribute("aria-label", block.caption);
    region.querySelector("table").prepend(make("caption", {}, block.caption));
    const step = (label, to) => make("button", { type: "button", class: "button", disabled: to < 0 || to >= pages, on: { click: () => turn(to) } }, label);
    node.replaceChildren(region, ...(pages > 1 ? [make("div", { class: "block-actions pages" }, step("Previous", page - 1), make("span", { class: "hint" }, `${page + 1} of ${pages}`), step("Next", page + 1))] : []));
  };
  turn(0);
  return node;
}

/** A chart as its figures: a bar for each, and the number beside it. What is drawn in Slack says no more. */
function chart(block) {
  const series = block.chart.type === "pie" ? [{ name: "", data: block.chart.segments }] : block.chart.series;
  const most = Math.max(...series.flatMap((one) => one.data.map((point) => Math.abs(point.value))), Number.MIN_VALUE);
  return make("figure", {}, make("figcaption", {}, block.title), series.map((one) => make("table", { class: "chart" },
    one.name ? make("caption", {}, one.name) : null,
    make("tbody", {}, one.data.map((point) => make("tr", {}, make("th", { scope: "row" }, point.label),
      make("td", {}, make("progress", { max: String(most), value: String(Math.abs(point.value)), "aria-hidden": "true" }), ` ${point.value}`)))))));
}

function card(block, surface) {
  const parts = [];
  if (block.hero_image) parts.push(picture(block.hero_image, block, surface));
  if (block.title) parts.push(make("strong", {}, textOf(block.title, surface.people)));
  if (block.subtitle) parts.push(make("div", { class: "hint" }, textOf(block.subtitle, surface.people)));
  if (block.body) parts.push(make("div", {}, textOf(block.body, surface.people)));
  if (block.actions) parts.push(make("div", { class: "block-actions" }, block.actions.map((one) => touchable(one, block, surface))));
  return make("div", {}, parts);
}

function alert(block, surface) {
  return make("div", { class: `level-${block.level ?? "default"}`, role: "note" }, textOf(block.text, surface.people));
}

function plan(block, surface) {
  return make("div", {}, make("strong", {}, wordsOf(typeof block.title === "string" ? { text: block.title } : block.title)),
    (block.tasks ?? []).map((one) => task(one, surface)));
}

function task(block, surface) {
  const title = typeof block.title === "string" ? block.title : wordsOf(block.title);
  const more = [block.details, block.output].filter(Boolean).flatMap((one) => richText(one, surface.people));
  return make("div", { class: `task ${block.status ?? "pending"}` },
    make("span", { class: "sign", "aria-label": block.status ?? "pending", role: "img" }, TASK_SIGNS[block.status] ?? TASK_SIGNS.pending), make("span", {}, title, more));
}
