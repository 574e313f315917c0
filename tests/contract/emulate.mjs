// Starts the Slack of npm's emulate for test_emulate.py: node emulate.mjs DIST SEED EVENTS_URL PORT
//
// emulate signs and sends events to subscriptions, but offers no way to subscribe over HTTP. So the
// plugin's own object is wrapped before the service is made; the version is pinned for this reason.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [dist, seed, eventsUrl, port] = process.argv.slice(2);
const plugins = readdirSync(dist)
  .filter((name) => name.endsWith(".js") && readFileSync(join(dist, name), "utf8").includes("\n  slackPlugin\n"));
const { slackPlugin } = await import(pathToFileURL(join(dist, plugins[0])));
const register = slackPlugin.register;
slackPlugin.register = (app, store, webhooks, ...rest) => {
  webhooks.register({ url: eventsUrl, events: ["*"], active: true, owner: "slack" });
  return register(app, store, webhooks, ...rest);
};
const { createEmulator } = await import(pathToFileURL(join(dist, "api.js")));
const emulator = await createEmulator({ service: "slack", port: Number(port), seed: JSON.parse(seed) });
console.log(emulator.url);
process.stdin.on("end", () => process.exit(0)).resume(); // ends with the test that started it
