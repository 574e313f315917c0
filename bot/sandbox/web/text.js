// Slack's text objects, rich text and Markdown as nodes of the document.

import { make } from "./dom.js";
import { emoji } from "./emoji.js";

const INLINE = new RegExp(
  [
    "`([^`\\n]+)`",
    "<([^<>\\n]+)>",
    ":([a-z0-9_+'-]+(?:::skin-tone-\\d)?):",
    "(?<![\\p{L}\\p{N}*])\\*(?=\\S)([^*\\n]*?[^\\s*])\\*(?![\\p{L}\\p{N}*])",
    "(?<![\\p{L}\\p{N}_])_(?=\\S)([^_\\n]*?[^\\s_])_(?![\\p{L}\\p{N}_])",
    "(?<![\\p{L}\\p{N}~])~(?=\\S)([^~\\n]*?[^\\s~])~(?![\\p{L}\\p{N}~])",
  ].join("|"),
  "gu",
);
const SAFE = /^(https?:\/\/|mailto:)/i;

const decoded = (text) => text.replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&amp;", "&");

/** A text object: `plain_text` as it is, `mrkdwn` with its emphasis, links and code. */
export function textOf(object, people) {
  if (!object) return [];
  if (object.type === "mrkdwn") return mrkdwn(object.text, people);
  return object.emoji === false ? [object.text] : [withEmoji(object.text)];
}

/** The words of a text object, for labels and options. */
export const wordsOf = (object) => (object ? withEmoji(object.text) : "");

const withEmoji = (text) => text.replace(/:([a-z0-9_+'-]+):/g, (_whole, name) => emoji(name));

/** mrkdwn: fenced code, quotes by line, and what stands within a line. */
export function mrkdwn(text, people) {
  return text.split(/```\n?([\s\S]*?)```\n?/g).flatMap((part, place) => (place % 2 ? [make("pre", {}, decoded(part))] : lines(part, people)));
}

function lines(text, people) {
  const nodes = [];
  let quoted = null;
  for (const line of text.split("\n")) {
    const quote = /^&gt; ?(.*)$/.exec(line);
    if (quote) {
      if (quoted) quoted.append(make("br"));
      else nodes.push((quoted = make("blockquote")));
      quoted.append(...inline(quote[1], people));
      continue;
    }
    if (nodes.length && !quoted) nodes.push(make("br"));
    quoted = null;
    nodes.push(...inline(line, people));
  }
  return nodes;
}

function inline(text, people) {
  const nodes = [];
  let end = 0;
  for (const found of text.matchAll(INLINE)) {
    if (found.index > end) nodes.push(decoded(text.slice(end, found.index)));
    const [whole, code, entity, name, bold, italic, struck] = found;
    if (code !== undefined) nodes.push(make("code", {}, decoded(code)));
    else if (entity !== undefined) nodes.push(reference(entity, people));
    else if (name !== undefined) nodes.push(emoji(name));
    else if (bold !== undefined) nodes.push(make("strong", {}, inline(bold, people)));
    else if (italic !== undefined) nodes.push(make("em", {}, inline(italic, people)));
    else nodes.push(make("s", {}, inline(struck, people)));
    end = found.index + whole.length;
  }
  if (end < text.length) nodes.push(decoded(text.slice(end)));
  return nodes;
}

/** What stands between angle brackets: a person, a channel, a group call, a date or a link. */
function reference(entity, people) {
  const [target, label] = entity.split("|");
  if (target.startsWith("@")) return mention(`@${people[target.slice(1)]?.name ?? decoded(label ?? target.slice(1))}`);
  if (target.startsWith("#")) return mention(`#${decoded(label ?? target.slice(1))}`);
  if (target.startsWith("!date^")) return decoded(label ?? "");
  if (target.startsWith("!subteam^")) return mention(`@${people[target.slice(9)]?.name ?? decoded(label ?? target.slice(9))}`);
  if (target.startsWith("!")) return mention(decoded(label ?? `@${target.slice(1).split("^")[0]}`));
  return link(decoded(target), decoded(label ?? target));
}

const mention = (text) => make("span", { class: "mention" }, text);

function link(target, label) {
  if (!SAFE.test(target)) return label;
  return make("a", { href: target, target: "_blank", rel: "noopener noreferrer nofollow" }, label);
}

/** A `rich_text` block: sections, lists, quotes and code. */
export function richText(block, people) {
  return block.elements.map((element) => {
    if (element.type === "rich_text_list") return richList(element, people);
    const leaves = element.elements.map((leaf) => richLeaf(leaf, people));
    if (element.type === "rich_text_preformatted") return make("pre", {}, leaves);
    if (element.type === "rich_text_quote") return make("blockquote", {}, leaves);
    return make("p", {}, leaves);
  });
}

function richList(list, people) {
  const items = list.elements.map((item) => make("li", {}, item.elements.map((leaf) => richLeaf(leaf, people))));
  const start = list.style === "ordered" && list.offset ? list.offset + 1 : null;
  return make(list.style === "ordered" ? "ol" : "ul", { start, class: `indent-${Math.min(list.indent ?? 0, 4)}` }, items);
}

function richLeaf(leaf, people) {
  switch (leaf.type) {
    case "text": return styled(leaf.text, leaf.style ?? {});
    case "link": return styled(link(leaf.url, leaf.text ?? leaf.url), leaf.style ?? {});
    case "emoji": return emoji(leaf.name);
    case "user": return mention(`@${people[leaf.user_id]?.name ?? leaf.user_id}`);
    case "channel": return mention(`#${leaf.channel_id}`);
    case "usergroup": return mention(`@${people[leaf.usergroup_id]?.name ?? leaf.usergroup_id}`);
    case "broadcast": return mention(`@${leaf.range}`);
    case "date": return leaf.fallback ?? new Date(leaf.timestamp * 1000).toLocaleString();
    case "color": return make("code", {}, leaf.value);
    default: return "";
  }
}

function styled(content, style) {
  let node = content;
  if (style.code) node = make("code", {}, node);
  if (style.bold) node = make("strong", {}, node);
  if (style.italic) node = make("em", {}, node);
  if (style.underline) node = make("u", {}, node);
  if (style.strike) node = make("s", {}, node);
  return node;
}

/** A `markdown` block: the common part of Markdown that Slack takes. */
export function markdown(text) {
  return text.split(/^```.*\n([\s\S]*?)^```$/gm).flatMap((part, place) => {
    if (place % 2) return [make("pre", {}, part)];
    return part.split(/\n{2,}/).filter((paragraph) => paragraph.trim()).map(markdownParagraph);
  });
}

function markdownParagraph(paragraph) {
  const rows = paragraph.trim().split("\n");
  const heading = /^#{1,6} (.*)$/.exec(rows[0]);
  if (heading && rows.length === 1) return make("h4", {}, markdownInline(heading[1]));
  if (rows.every((row) => /^\s*[-*+] /.test(row))) return make("ul", {}, rows.map((row) => make("li", {}, markdownInline(row.replace(/^\s*[-*+] /, "")))));
  if (rows.every((row) => /^\s*\d+[.)] /.test(row))) return make("ol", {}, rows.map((row) => make("li", {}, markdownInline(row.replace(/^\s*\d+[.)] /, "")))));
  if (rows.every((row) => row.startsWith(">"))) return make("blockquote", {}, markdownInline(rows.map((row) => row.replace(/^> ?/, "")).join("\n")));
  return make("p", {}, markdownInline(rows.join("\n")));
}

function markdownInline(text) {
  const nodes = [];
  let end = 0;
  for (const found of text.matchAll(/`([^`]+)`|\[([^\]]+)\]\(([^)\s]+)\)|\*\*(.+?)\*\*|[*_]([^*_\s](?:[^*_]*[^*_\s])?)[*_]|~~(.+?)~~|(\n)/g)) {
    if (found.index > end) nodes.push(text.slice(end, found.index));
    const [whole, code, label, target, bold, italic, struck] = found;
    if (code) nodes.push(make("code", {}, code));
    else if (label) nodes.push(link(target, label));
    else if (bold) nodes.push(make("strong", {}, markdownInline(bold)));
    else if (italic) nodes.push(make("em", {}, markdownInline(italic)));
    else if (struck) nodes.push(make("s", {}, markdownInline(struck)));
    else nodes.push(make("br"));
    end = found.index + whole.length;
  }
  if (end < text.length) nodes.push(text.slice(end));
  return nodes;
}
