// @anthropic-ai/sdk: Messages.
import Anthropic from "@anthropic-ai/sdk";
import { betaTool } from "@anthropic-ai/sdk/helpers/beta/json-schema";
import { animal, city, endless, expect, fails, flaky, image, key, leaves, run, sent, shown, thought, url, weather } from "./cases.mjs";

const client = new Anthropic({ baseURL: url, apiKey: key, maxRetries: 0 });
const said = (content) => [{ role: "user", content }];
const use = { name: "weather", description: "of a city", input_schema: city };
const base = (model, messages) => ({ model, max_tokens: 4096, messages });
const text = (message) => message.content.filter((block) => block.type === "text").map((block) => block.text).join("");
const ways = [(ask) => client.messages.create(ask), (ask) => client.messages.stream(ask).finalMessage()];

async function loop(model, count) {
  for (const way of ways) {
    const messages = said(`[[stub tool=${count} chunks=0]]`);
    const asked = await way({ ...base(model, messages), tools: [use] });
    const calls = asked.content.filter((block) => block.type === "tool_use");
    expect(asked.stop_reason === "tool_use" && new Set(calls.map((call) => call.id)).size === count, asked);
    const results = calls.map((call) => ({ type: "tool_result", tool_use_id: call.id, content: weather(call.input) }));
    const history = [...messages, { role: "assistant", content: asked.content }, ...said(results)];
    const done = await way({ ...base(model, history), tools: [use] });
    expect(text(done) && (await sent(model)).split("sunny in Graz").length === count + 1, done);
  }
}

await run({
  async chat(model) {
    const whole = await client.messages.create({ ...base(model, said("hello")), system: "Be brief." });
    expect(text(whole) && whole.stop_reason === "end_turn", whole);
    expect((await client.messages.countTokens({ model, messages: said("hello") })).input_tokens > 0, "no count");
  },
  async stream(model) {
    const whole = await client.messages.create(base(model, said("hello")));
    const final = await client.messages.stream(base(model, said("hello"))).finalMessage();
    expect(text(final) === text(whole) && final.usage.output_tokens === whole.usage.output_tokens, final);
  },
  async tools(model) {
    await loop(model, 1);
    const runner = client.beta.messages.toolRunner({
      ...base(model, said("[[stub tool=1 chunks=0]]")),
      tools: [betaTool({ name: "weather", description: "of a city", inputSchema: city, run: async (input) => weather(input) })],
    });
    const ran = await runner.runUntilDone();
    const history = await sent(model);
    expect(text(ran) && ["[[stub tool=1", "sunny in Graz"].every((part) => history.includes(part)), ran);
  },
  parallel: (model) => loop(model, 2),
  async structured(model) {
    const format = { type: "json_schema", schema: animal };
    const formed = await client.messages.create({ ...base(model, said("a zebra?")), output_config: { format } });
    expect(JSON.parse(text(formed)).striped === true, formed);
  },
  async images(model) {
    const picture = { type: "image", source: { type: "base64", media_type: "image/png", data: image } };
    await client.messages.create(base(model, said([picture, { type: "text", text: "what?" }])));
    expect(await shown(model), "image");
  },
  async thinking(model) {
    for (const way of ways) {
      const think = { thinking: { type: "enabled", budget_tokens: 2048 } };
      const asked = await way({ ...base(model, said("[[stub think=1]]")), ...think });
      expect(asked.content.filter((block) => block.type === "thinking").map((block) => block.thinking).join("") === thought, asked);
      const history = [...said("hi"), { role: "assistant", content: asked.content }, ...said("and?")];
      expect(text(await way({ ...base(model, history), ...think })), "no answer");
    }
  },
  async errors(model) {
    const ask = (content, name = model) => client.messages.create(base(name, said(content)));
    await fails(() => ask("hi", "no/such"), (error) => error instanceof Anthropic.BadRequestError, "BadRequestError");
    await fails(() => ask("[[stub error=429]]"), (error) => error instanceof Anthropic.RateLimitError, "RateLimitError");
    const nobody = new Anthropic({ baseURL: url, apiKey: "sk-no", maxRetries: 0 });
    const refused = () => nobody.messages.create(base(model, said("hi")));
    await fails(refused, (error) => error instanceof Anthropic.AuthenticationError, "AuthenticationError");
    if (!model.startsWith("mock/")) {
      const cut = () => client.messages.stream(base(model, said("[[stub chunks=5 fail_after=2]]"))).finalMessage();
      await fails(cut, (error) => error instanceof Anthropic.APIError, "APIError");
    }
  },
  async retries(model) {
    const patient = new Anthropic({ baseURL: url, apiKey: key, maxRetries: 2 });
    expect(text(await patient.messages.create(base(model, said(flaky(model))))), "no answer");
  },
  async cancel(model) {
    await leaves(async () => {
      const stream = client.messages.stream(base(model, said(endless)));
      for await (const event of stream) if (event.type === "content_block_delta") break;
      stream.abort();
    });
  },
  async models() {
    expect((await client.models.list()).data.length > 0, "no models");
  },
});
