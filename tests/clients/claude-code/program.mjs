// Claude Code without an account: `claude -p` with ANTHROPIC_BASE_URL.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, flaky, image, key, run, sent, thought, url } from "./cases.mjs";
import { folder, fresh, output } from "./programs.mjs";

const claude = join(folder, `node_modules/@anthropic-ai/claude-code-${process.platform}-${process.arch}/claude`);
const quiet = { DISABLE_TELEMETRY: "1", CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: "1", IS_SANDBOX: "1" };

async function ask(model, prompt, more = [], options = {}) {
  const environment = { ...quiet, ANTHROPIC_BASE_URL: url, ANTHROPIC_API_KEY: options.key ?? key, ...options.environment };
  const args = ["-p", prompt, "--model", model, "--allowedTools", "Bash,Read", "--output-format", "stream-json", "--verbose", "--include-partial-messages", ...more];
  const { out } = await output(claude, args, environment, { ...options, failing: true });
  const events = out.split("\n").filter((line) => line.startsWith("{")).map((line) => JSON.parse(line));
  return { events, result: events.findLast((event) => event.type === "result") ?? { is_error: true, result: out.slice(-200) } };
}
const fine = ({ result }) => expect(!result.is_error && result.result, result.result ?? result.subtype);
const deltas = ({ events }, name) => events.map((event) => event.event?.delta?.[name] ?? "").join("");

async function loop(model, count) {
  const cwd = fresh();
  const said = await ask(model, `[[stub tool=${count} call=Bash:{"command":"pwd"} chunks=0]]`, [], { cwd });
  fine(said);
  const results = said.events.filter((event) => event.type === "user").flatMap((event) => event.message.content);
  expect(results.filter((block) => block.type === "tool_result" && JSON.stringify(block).includes(cwd)).length === count, results);
  expect((await sent(model)).includes(cwd), "the result has not arrived");
}

await run({
  chat: async (model) => fine(await ask(model, "hello")),
  async stream(model) {
    const said = await ask(model, "hello");
    expect(deltas(said, "text") === said.result.result, deltas(said, "text"));
  },
  tools: (model) => loop(model, 1),
  parallel: (model) => loop(model, 2),
  async images(model) {
    const cwd = fresh();
    writeFileSync(join(cwd, "a.png"), Buffer.from(image, "base64"));
    fine(await ask(model, `[[stub tool=1 call=Read:{"file_path":"${join(cwd, "a.png")}"} chunks=0]]`, [], { cwd }));
    // It draws the picture anew.
    expect(model.startsWith("mock/") || /iVBORw0KGgo|\/9j\/|UklGR/.test(await sent(model)), "no image");
  },
  async thinking(model) {
    const said = await ask(model, "[[stub think=1]]");
    fine(said);
    expect(deltas(said, "thinking") === thought, deltas(said, "thinking"));
  },
  async errors(model) {
    const refused = await ask(model, "hello", [], { key: "sk-no" });
    expect(refused.result.is_error && /401|key/i.test(refused.result.result), refused.result.result);
    const unknown = await ask("no/such", "hello");
    expect(unknown.result.is_error, unknown.result.result);
  },
  retries: async (model) => fine(await ask(model, flaky(model))),
});
