// Messages: who said what and when, with blocks, files, reactions, and the menu that opens beside each.

import { showBlocks } from "./blocks.js";
import { make, reconcile } from "./dom.js";
import { emoji } from "./emoji.js";
import { openMenu } from "./menu.js";
import { mrkdwn } from "./text.js";

const NEAR_END = 80; // pixels from the end at which a list still follows what arrives

const moment = (ts) => new Date(Number(ts) * 1000);
const clock = (ts) => moment(ts).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
const day = (ts) => moment(ts).toLocaleDateString([], { weekday: "long", day: "numeric", month: "long" });

/**
 * Show messages in a list, days apart. `page` says who is who and does what is asked; with `inThread` there is no
 * link to the thread, because it is the one that is open.
 */
export function showMessages(list, messages, page, { inThread = false } = {}) {
  const follows = list.follows ?? true;
  const rows = [];
  let last = null;
  for (const message of messages) {
    if (day(message.ts) !== last) rows.push({ day: (last = day(message.ts)) });
    rows.push({ message });
  }
  const looks = ({ day: name, message }) => (message ? [message.ts, JSON.stringify([message, page.seat])] : [name, name]);
  reconcile(list, rows, looks, (row) => (row.message ? messageNode(row.message, page, inThread) : make("div", { class: "day", role: "separator" }, make("span", {}, row.day))));
  if (follows) list.scrollTop = list.scrollHeight;
}

/** An empty list of messages; while its end is in view it stays there, whatever arrives and however wide it is. */
export function messageList(label) {
  const list = make("div", { class: "messages", role: "log", "aria-label": label, tabindex: "0" });
  const end = () => list.scrollTo({ top: list.scrollHeight });
  list.addEventListener("scroll", () => (list.follows = list.scrollHeight - list.scrollTop - list.clientHeight < NEAR_END));
  new ResizeObserver(() => list.follows !== false && end()).observe(list);
  return list;
}

function author(message, page) {
  const known = page.people[message.user ?? message.bot_id] ?? { name: message.username ?? "Somebody", kind: "app", role: "" };
  return message.username ? { ...known, name: message.username } : known;
}

/** A rounded square with initials, in a colour of the name's own. */
function avatar(person) {
  if (person.kind === "errata") return make("span", { class: "avatar errata", "aria-hidden": "true" }, "✓");
  const hue = [...person.name].reduce((sum, letter) => (sum * 31 + letter.codePointAt(0)) % 8, 7);
  return make("span", { class: `avatar hue-${hue}`, "aria-hidden": "true" }, [...person.name][0]?.toUpperCase() ?? "?");
}

function messageNode(message, page, inThread) {
  const who = author(message, page);
  const content = make("div", { class: "content" });
  const body = make("div", { class: "words" });
  const surface = page.surface((block, spec, value) => page.act({
    do: "click", where: "message", channel: page.channel, ts: message.ts, block_id: block.block_id, action_id: spec.action_id, value,
  }));
  if (message.blocks?.length) showBlocks(body, message.blocks, surface);
  else body.append(make("div", { class: "text" }, mrkdwn(message.text ?? "", page.people)));
  content.append(
    make("header", {},
      make("strong", {}, who.name),
      who.kind === "person" ? null : make("span", { class: "badge" }, "app"),
      who.role ? make("span", { class: "role" }, who.role) : null,
      make("time", { datetime: moment(message.ts).toISOString(), title: moment(message.ts).toLocaleString() }, clock(message.ts)),
      message.edited ? make("span", { class: "edited", title: moment(message.edited.ts).toLocaleString() }, `edited ${clock(message.edited.ts)}`) : null,
    ),
    body,
    ...(message.files ?? []).map((file) => fileNode(file, page)),
  );
  if (message.reactions?.length) content.append(reactions(message, page));
  if (!inThread && message.reply_count) content.append(threadLink(message, page));
  const node = make("article", { class: message.is_ephemeral ? "message only-you" : "message", "data-ts": message.ts, "aria-label": `${who.name}, ${clock(message.ts)}` }, avatar(who), content);
  if (message.is_ephemeral) content.prepend(make("p", { class: "private" }, "Only visible to you"));
  else node.append(tools(message, page, inThread));
  return node;
}

function fileNode(file, page) {
  const url = page.fileUrl(file.id);
  if (!/\.(png|jpe?g|gif)$/i.test(file.name)) return make("a", { class: "file", href: url, download: file.name }, `📄 ${file.title}`);
  return make("figure", { class: "file" }, make("figcaption", {}, file.title), make("a", { href: url, target: "_blank" }, make("img", { src: url, alt: file.alt_txt ?? file.title })));
}

function reactions(message, page) {
  return make("div", { class: "reactions" }, message.reactions.map((one) => {
    const mine = one.users.includes(page.seat);
    const names = one.users.map((id) => page.people[id]?.name ?? id).join(", ");
    const control = make("button", { type: "button", "aria-pressed": String(mine), title: names, "aria-label": `${one.name.replaceAll("_", " ")}, ${one.count}: ${names}` }, `${emoji(one.name)} ${one.count}`);
    control.addEventListener("click", () => page.act({ do: "react", channel: page.channel, ts: message.ts, name: one.name, added: !mine }));
    return control;
  }));
}

function threadLink(message, page) {
  const count = message.reply_count;
  const who = (message.reply_users ?? []).slice(0, 3).map((id) => avatar(page.people[id] ?? { name: "?", kind: "app" }));
  const words = `${count} ${count === 1 ? "reply" : "replies"}`;
  const control = make("button", { type: "button", class: "replies", "aria-label": `Open the thread: ${words}` }, who, make("span", { class: "count" }, words), make("span", { class: "hint" }, `last ${clock(message.latest_reply)}`));
  control.addEventListener("click", () => page.openThread(message.ts));
  return control;
}

function tools(message, page, inThread) {
  const more = make("button", { type: "button", class: "quiet", "aria-haspopup": "menu", "aria-expanded": "false", "aria-label": "More actions", title: "More actions" }, "⋮");
  const items = () => [
    ...page.shortcuts.map(({ name, callback_id }) => ({
      words: name,
      choose: () => page.act({ do: "shortcut", channel: page.channel, ts: message.ts, callback_id }),
    })),
    ...(inThread ? [] : [{ words: "Reply in thread", choose: () => page.openThread(message.thread_ts ?? message.ts) }]),
    ...page.reactions.filter((name) => !message.reactions?.some((one) => one.name === name && one.users.includes(page.seat))).map((name) => ({
      words: `React with ${emoji(name)}`,
      choose: () => page.act({ do: "react", channel: page.channel, ts: message.ts, name }),
    })),
    { words: "Copy link", choose: () => page.copyLink(message) },
  ];
  more.addEventListener("click", () => openMenu(more, items()));
  const reply = make("button", { type: "button", class: "quiet", "aria-label": "Reply in thread", title: "Reply in thread" }, "↳");
  reply.addEventListener("click", () => page.openThread(message.thread_ts ?? message.ts));
  return make("div", { class: "tools" }, inThread ? null : reply, more);
}

/** The field in which messages and commands are written; a thread takes no commands, as in Slack. */
export function composer(label, page, { thread = null } = {}) {
  const field = make("textarea", { rows: 1, "aria-label": label, placeholder: label });
  const send = make("button", { type: "submit", class: "button primary" }, "Send");
  const form = make("form", { class: "composer" }, field, send);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const text = field.value.trim();
    if (!text || send.disabled) return;
    send.disabled = true;
    const done = await page.act(asked(text, page, thread));
    send.disabled = false;
    if (!done.problem && field.value.trim() === text) field.value = "";
    field.focus();
  });
  field.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    form.requestSubmit();
  });
  return form;
}

function asked(text, page, thread) {
  const command = /^(\/\S+)\s*([\s\S]*)$/.exec(text);
  if (!command) return { do: "post", channel: page.channel, text, thread };
  if (thread) return { refused: "Slack takes slash commands in a channel, not in a thread." };
  if (!page.commands.includes(command[1])) return { refused: `${command[1]} is not a command here. Try ${page.commands.join(", ")}.` };
  return { do: "command", channel: page.channel, name: command[1], text: command[2] };
}
