// Links to messages, as Slack writes them: https://TEAM.slack.com/archives/C…/p1700000000000100?thread_ts=…&cid=C…

const LINK = /^(?<channel>[A-Z0-9]+)\/p(?<seconds>\d+)(?<micro>\d{6})(?:\?thread_ts=(?<thread>\d+\.\d{6}).*)?$/;

/** The link to a message; `archives` is how the workspace's links begin. */
export function linkTo(archives, channel, { ts, thread_ts: thread }) {
  const inside = thread && thread !== ts ? `?thread_ts=${thread}&cid=${channel}` : "";
  return `${archives}${channel}/p${ts.replace(".", "")}${inside}`;
}

/** Where a link leads on the page, `{at, thread}`; null for any other address. */
export function leadsTo(archives, address) {
  const found = address.startsWith(archives) ? LINK.exec(address.slice(archives.length)) : null;
  if (!found) return null;
  const { channel, seconds, micro, thread } = found.groups;
  return { at: channel, thread: thread ?? `${seconds}.${micro}` };
}
