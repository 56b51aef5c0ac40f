// Codex without an account: `codex exec` with a provider of one's own.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, flaky, key, run, sent, url } from "./cases.mjs";
import { folder, fresh, output } from "./programs.mjs";

// Codex leaves out a picture that it cannot decode.
const red = "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAIAAABLbSncAAAAEklEQVR4nGP4z8CAFWEXHbQSACj/P8Fu7N9hAAAAAElFTkSuQmCC";
const codex = join(folder, "node_modules/@openai/codex/bin/codex.js");
const provider = `{name="Sluice",base_url="${url}",env_key="SLUICE_API_KEY",wire_api="responses",request_max_retries=2,stream_max_retries=0}`;

async function ask(model, prompt, more = [], options = {}) {
  const args = ["exec", "--json", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox"];
  args.push("-c", "model_provider=sluice", "-c", `model_providers.sluice=${provider}`, "-m", model, ...more, "--", prompt);
  const { out, err } = await output(process.execPath, [codex, ...args], { SLUICE_API_KEY: options.key ?? key }, { ...options, failing: true });
  const events = out.split("\n").filter((line) => line.startsWith("{")).map((line) => JSON.parse(line));
  const items = events.filter((event) => event.type === "item.completed").map((event) => event.item);
  const failure = events.findLast((event) => event.type === "turn.failed" || event.type === "error");
  return { items, text: items.findLast((item) => item.type === "agent_message")?.text, failure: failure ?? (events.length ? undefined : err.slice(-300)) };
}
const fine = (said) => expect(said.text && !said.failure, said.failure ?? said.items);

async function loop(model, count) {
  const cwd = fresh();
  const said = await ask(model, `[[stub tool=${count} call=exec_command:{"cmd":"pwd"} chunks=0]]`, [], { cwd });
  fine(said);
  const ran = said.items.filter((item) => item.type === "command_execution" && item.aggregated_output.includes(cwd));
  expect(ran.length === count && (await sent(model)).includes(cwd), said.items);
}

await run({
  chat: async (model) => fine(await ask(model, "hello")),
  stream: async (model) => fine(await ask(model, "[[stub chunks=40]]")),
  tools: (model) => loop(model, 1),
  parallel: (model) => loop(model, 2),
  async images(model) {
    const cwd = fresh();
    writeFileSync(join(cwd, "a.png"), Buffer.from(red, "base64"));
    fine(await ask(model, "what?", ["-i", "a.png"], { cwd }));
    expect(model === "mock/gemini" || (await sent(model)).includes(red), "no image");
  },
  thinking: async (model) => fine(await ask(model, "[[stub think=1]]", ["-c", "model_reasoning_effort=low"])),
  async errors(model) {
    expect(JSON.stringify((await ask(model, "hello", [], { key: "sk-no" })).failure).includes("401"), "no 401");
    expect(JSON.stringify((await ask("no/such", "hello")).failure).includes("not served"), "no 400");
  },
  retries: async (model) => fine(await ask(model, flaky(model))),
});
