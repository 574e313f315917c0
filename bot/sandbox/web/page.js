// The page: who one is, where one is, and everything that is in front of that person there.

import { say } from "./asking.js";
import { showBlocks } from "./blocks.js";
import { make, reconcile } from "./dom.js";
import { leadsTo, linkTo } from "./links.js";
import { composer, messageList, showMessages } from "./messages.js";
import { Modal } from "./modal.js";
import { fileUrl, gesture, setting, takeStep, watch } from "./server.js";
import { mrkdwn } from "./text.js";

const side = document.getElementById("side");
const room = document.getElementById("room");
const threadPane = document.getElementById("thread");
const drawer = document.getElementById("drawer");
const HOME = "home";

const frame = await setting();
const people = frame.people;
let here = { seat: "", at: "", thread: "" };
let sight = null;
let watching = null;
const read = new Map(); // "seat channel" → ts of the newest message that was looked at

/** What blocks need to know of where they stand; `touch` tells the bot what was touched. */
const surface = (touch) => ({
  people, touch, entered: new Map(), state: null, errors: null,
  channels: () => sight.channels, follow,
  fileUrl: (id) => fileUrl(here.seat, id),
});

async function act(what) {
  const done = what.refused ? { problem: what.refused } : await gesture(here.seat, what);
  if (done.problem) say(done.problem);
  return done;
}

/** What the messages of one channel need to know. */
const pageOf = (channel) => ({
  seat: here.seat, people, channel: channel.id, act, surface,
  shortcuts: frame.shortcuts, reactions: frame.reactions, commands: frame.commands,
  fileUrl: (id) => fileUrl(here.seat, id),
  openThread: (ts) => go({ thread: ts }),
  copyLink: (message) => copy(linkTo(frame.links, channel.id, message)),
});

const modal = new Modal(document.getElementById("modal"), act, surface);
const homeSurface = surface((block, spec, value) => act({ do: "click", where: "home", block_id: block.block_id, action_id: spec.action_id, value }));

// A link to a message leads to it on this page.

async function copy(link) {
  await navigator.clipboard.writeText(link).then(() => say("The link is copied."), () => say(link));
}

function follow(address) {
  const spot = leadsTo(frame.links, address);
  if (spot) go(spot);
  return spot !== null;
}

document.addEventListener("click", (event) => {
  const link = event.target.closest?.("a[href]");
  if (link && follow(link.href)) event.preventDefault();
});

// Where one is stands behind the #, so that the browser's back button and reloading work.

function go(change) {
  location.hash = new URLSearchParams({ ...here, ...change }).toString();
  openDrawer(false);
}

function arrive() {
  const asked = Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
  const seat = frame.seats.some((one) => one.id === asked.seat) ? asked.seat : frame.seats[0].id;
  const at = asked.at ?? "";
  const moved = { seat: seat !== here.seat, at: at !== here.at };
  here = { seat, at, thread: asked.thread ?? "" };
  document.getElementById("seat").value = seat;
  if (moved.seat || moved.at) homeSurface.entered.clear();
  if (moved.at && sight?.channels.some((one) => one.id === here.at && one.kind === "im")) act({ do: "open_home", tab: "messages" });
  if (moved.seat) sitDown();
  else draw();
  if (here.at === HOME && (moved.seat || moved.at)) act({ do: "open_home" });
}

function sitDown() {
  watching?.abort();
  watching = new AbortController();
  modal.show(null);
  sight = null;
  watch(here.seat, (seen) => {
    sight = seen;
    draw();
  }, (gone) => document.body.classList.toggle("gone", gone), watching.signal);
}

function draw() {
  if (!sight) return;
  if (here.at !== HOME && !sight.channels.some((one) => one.id === here.at)) {
    here.at = sight.channels.find((one) => one.kind !== "im")?.id ?? HOME;
  }
  const channel = sight.channels.find((one) => one.id === here.at);
  if (here.at === HOME) drawHome();
  else drawRoom(channel);
  drawThread(channel);
  drawSide();
  modal.show(sight.modal);
  locales.value = sight.locale;
}

// The side: channels, the app, and what is worth trying.

function newest(channel) {
  const others = channel.messages.filter((message) => message.user !== here.seat);
  return others.length ? others.at(-1).ts : "0";
}

function drawSide() {
  const rooms = sight.channels.filter((one) => one.kind !== "im");
  const direct = sight.channels.find((one) => one.kind === "im");
  const entries = [
    { heading: "Channels" },
    ...rooms.map((one) => ({ at: one.id, words: `# ${one.name}`, unread: isUnread(one) })),
    { heading: "Errata" },
    { at: HOME, words: "Home", sign: "⌂" },
    ...(direct ? [{ at: direct.id, words: "Messages", sign: "✉", unread: isUnread(direct) }] : []),
    ...frame.global_shortcuts.map((shortcut) => ({ shortcut })),
    ...(frame.steps.length ? [{ heading: "Worth trying" }] : []),
    ...frame.steps.map((step, number) => ({ step, number })),
  ];
  reconcile(side, entries, (entry) => [entry.heading ?? entry.at ?? entry.shortcut?.callback_id ?? entry.number, JSON.stringify([entry, entry.at === here.at])], sideNode);
}

function isUnread(channel) {
  const key = `${here.seat} ${channel.id}`;
  const latest = newest(channel);
  if (channel.id === here.at) read.set(key, latest);
  else if (!read.has(key)) read.set(key, channel.kind === "im" ? "0" : latest); // what is in a channel is old, a message to oneself is not
  return Number(latest) > Number(read.get(key));
}

function sideNode(entry) {
  if (entry.heading) return make("h2", {}, entry.heading);
  if (entry.shortcut) return shortcutNode(entry.shortcut);
  if (entry.step) return stepNode(entry.step, entry.number);
  const current = entry.at === here.at;
  return make("button", { type: "button", class: entry.unread ? "place unread" : "place", "aria-current": current ? "page" : null, on: { click: () => go({ at: entry.at, thread: "" }) } },
    entry.sign ? make("span", { "aria-hidden": "true" }, `${entry.sign} `) : null, entry.words,
    entry.unread ? make("span", { class: "dot", role: "img", "aria-label": "new" }) : null);
}

function shortcutNode({ name, callback_id }) {
  const control = make("button", { type: "button", class: "place" }, make("span", { "aria-hidden": "true" }, "⚡ "), name);
  control.addEventListener("click", () => {
    openDrawer(false);
    act({ do: "global_shortcut", callback_id });
  });
  return control;
}

function stepNode(step, number) {
  const who = people[step.seat];
  const words = [make("span", { class: "number", "aria-hidden": "true" }, String(number + 1)), make("span", {}, mrkdwn(step.text, people), make("small", {}, `as ${who.name}, ${who.role}`))];
  const control = make("button", { type: "button", class: "step" }, words);
  control.addEventListener("click", () => {
    go({ seat: step.seat, at: step.channel, thread: step.thread ?? "" });
    if (step.acts) help(control, number);
  });
  return control;
}

async function help(control, number) {
  control.setAttribute("aria-busy", "true");
  const done = await takeStep(number);
  control.removeAttribute("aria-busy");
  say(done.problem ?? done.said);
}

function openDrawer(open) {
  document.body.classList.toggle("drawer", open);
  drawer.setAttribute("aria-expanded", String(open));
}

// The room: a channel with its composer, or App Home.

let roomKey = "";

function drawRoom(channel) {
  const key = `${here.seat} ${channel.id}`;
  const name = channel.kind === "im" ? "Errata" : `# ${channel.name}`;
  if (roomKey !== key) {
    roomKey = key;
    const list = messageList(`Messages in ${name}`);
    const about = channel.kind === "im" ? "Direct messages with the app" : `${channel.members} members`;
    const label = channel.kind === "im" ? "Message Errata" : `Message #${channel.name}, or ${frame.commands[0] ?? "/"} …`;
    room.notes = make("div", { class: "notes", role: "status" });
    room.replaceChildren(make("header", {}, make("h1", {}, name), make("span", { class: "hint" }, about)), list, room.notes, composer(label, pageOf(channel)));
    room.list = list;
  }
  drawNotes(room, channel, Object.values(channel.status)[0], channel.prompts);
  const top = channel.messages.filter((message) => !message.thread_ts || message.thread_ts === message.ts || message.subtype === "thread_broadcast");
  showMessages(room.list, top, pageOf(channel));
}

/** What stands between the messages and the field: that Errata is at work, and what one might ask it. */
function drawNotes(pane, channel, status, prompts) {
  const notes = [...(status ? [{ status }] : []), ...prompts];
  reconcile(pane.notes, notes, (note) => [note.status ?? note.title, JSON.stringify(note)], (note) => {
    if (note.status) return make("p", { class: "hint" }, `Errata ${note.status}`);
    const control = make("button", { type: "button", class: "button" }, note.title);
    control.addEventListener("click", () => act({ do: "post", channel: channel.id, text: note.message }));
    return control;
  });
}

function drawHome() {
  const key = `${here.seat} ${HOME}`;
  if (roomKey !== key) {
    roomKey = key;
    room.list = make("div", { class: "home blocks", tabindex: "0", role: "region", "aria-label": "App Home" });
    room.replaceChildren(make("header", {}, make("h1", {}, "Errata"), make("span", { class: "hint" }, `Home, as ${people[here.seat].name} sees it`)), room.list);
  }
  const home = sight.home;
  const empty = [{ type: "section", block_id: "empty", text: { type: "plain_text", text: "Errata has not published a Home for you yet." } }];
  homeSurface.state = home?.state.values ?? null;
  showBlocks(room.list, home?.blocks ?? empty, homeSurface);
}

let threadKey = "";

function drawThread(channel) {
  const messages = channel && here.thread ? channel.messages.filter((message) => message.ts === here.thread || message.thread_ts === here.thread) : [];
  threadPane.hidden = messages.length === 0;
  document.body.classList.toggle("threaded", messages.length > 0);
  if (!messages.length) {
    if (threadKey) room.list?.focus({ preventScroll: true });
    threadKey = "";
    return;
  }
  const key = `${here.seat} ${channel.id} ${here.thread}`;
  const another = threadKey !== key;
  if (another) {
    threadKey = key;
    const close = make("button", { type: "button", class: "quiet", "aria-label": "Close the thread", on: { click: () => go({ thread: "" }) } }, "✕");
    const list = messageList("Messages in the thread");
    threadPane.notes = make("div", { class: "notes", role: "status" });
    threadPane.replaceChildren(make("header", {}, make("h1", {}, "Thread"), close), list, threadPane.notes, composer("Reply in the thread", pageOf(channel), { thread: here.thread }));
    threadPane.list = list;
  }
  drawNotes(threadPane, channel, channel.status[here.thread], []);
  showMessages(threadPane.list, messages, pageOf(channel), { inThread: true });
  if (another) threadPane.list.focus({ preventScroll: true });
}

// Setting up.

document.getElementById("title").textContent = frame.title;
document.title = `${frame.title} · sandbox`;
const seats = document.getElementById("seat");
seats.append(...frame.seats.map((one) => make("option", { value: one.id }, `${people[one.id].name}, ${one.role}`)));
const locales = document.getElementById("locale");
locales.addEventListener("change", async () => {
  const { problem } = await act({ do: "speak", locale: locales.value });
  if (!problem && here.at === HOME) act({ do: "open_home" });
});
seats.addEventListener("change", () => go({ seat: seats.value, thread: "" }));
drawer.addEventListener("click", () => openDrawer(!document.body.classList.contains("drawer")));
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && document.body.classList.contains("drawer")) openDrawer(false);
});
window.addEventListener("hashchange", arrive);
arrive();
