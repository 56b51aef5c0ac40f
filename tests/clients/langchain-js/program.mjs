// LangChain for JavaScript: ChatOpenAI over chat completions and Responses, ChatAnthropic, OpenAIEmbeddings.
import { ChatAnthropic } from "@langchain/anthropic";
import { HumanMessage, ToolMessage } from "@langchain/core/messages";
import { tool } from "@langchain/core/tools";
import { ChatOpenAI, OpenAIEmbeddings } from "@langchain/openai";
import { z } from "zod";
import { endless, expect, fails, flaky, image, key, leaves, run, sent, shown, thought, url, weather } from "./cases.mjs";

const clients = (model, more = {}) => {
  const openai = { model, apiKey: key, maxRetries: 0, configuration: { baseURL: url }, ...more };
  return [
    new ChatOpenAI(openai),
    new ChatOpenAI({ ...openai, useResponsesApi: true }),
    new ChatAnthropic({ model, apiKey: key, anthropicApiUrl: url, maxTokens: 4096, maxRetries: 0, ...more }),
  ];
};
const forecast = tool(async (input) => weather(input), {
  name: "weather",
  description: "of a city",
  schema: z.object({ city: z.string() }),
});
const joined = async (pieces) => {
  let together;
  for await (const piece of pieces) together = together ? together.concat(piece) : piece;
  return together;
};

async function loop(model, count) {
  for (const client of clients(model)) {
    const bound = client.bindTools([forecast]);
    const said = [new HumanMessage(`[[stub tool=${count} chunks=0]]`)];
    for (const asked of [await bound.invoke(said), await joined(await bound.stream(said))]) {
      expect(new Set(asked.tool_calls.map((call) => call.id)).size === count, asked.tool_calls);
      const results = [];
      for (const call of asked.tool_calls) results.push(new ToolMessage({ content: await forecast.invoke(call.args), tool_call_id: call.id }));
      const done = await bound.invoke([...said, asked, ...results]);
      expect(done.text && (await sent(model)).split("sunny in Graz").length === count + 1, done.content);
    }
  }
}

await run({
  async chat(model) {
    for (const client of clients(model)) {
      const whole = await client.invoke("hello");
      expect(whole.text && whole.usage_metadata.output_tokens, whole);
    }
  },
  async stream(model) {
    for (const client of clients(model)) {
      const whole = await client.invoke("hello");
      const together = await joined(await client.stream("hello"));
      expect(together.text === whole.text, together.text);
      // ChatAnthropic adds up the counts of a stream's first and last event; of Anthropic's own, too.
      const same = client instanceof ChatAnthropic || together.usage_metadata.output_tokens === whole.usage_metadata.output_tokens;
      expect(same && together.usage_metadata.output_tokens > 0, together.usage_metadata);
    }
  },
  tools: (model) => loop(model, 1),
  parallel: (model) => loop(model, 2),
  async structured(model) {
    for (const client of clients(model)) {
      const shaped = client.withStructuredOutput(z.object({ striped: z.boolean() }), { name: "animal", method: "jsonSchema" });
      expect((await shaped.invoke("a zebra?")).striped === true, client.constructor.name);
    }
  },
  async images(model) {
    for (const client of clients(model)) {
      const content = [{ type: "text", text: "what?" }, { type: "image_url", image_url: { url: `data:image/png;base64,${image}` } }];
      await client.invoke([new HumanMessage({ content })]);
      expect(await shown(model), client.constructor.name);
    }
  },
  async thinking(model) {
    const openai = { model, apiKey: key, maxRetries: 0, configuration: { baseURL: url }, useResponsesApi: true };
    const responses = new ChatOpenAI({ ...openai, reasoning: { effort: "low", summary: "auto" } });
    const claude = new ChatAnthropic({
      ...{ model, apiKey: key, anthropicApiUrl: url, maxTokens: 4096, maxRetries: 0 },
      thinking: { type: "enabled", budget_tokens: 2048 },
    });
    for (const client of [responses, claude]) {
      const answer = await client.invoke("[[stub think=1]]");
      expect(JSON.stringify(answer.contentBlocks).includes(thought), answer.contentBlocks);
      expect((await client.invoke([new HumanMessage("hi"), answer, new HumanMessage("and?")])).text, "no answer");
    }
  },
  async errors(model) {
    const status = (code) => (error) => error.status === code;
    for (const client of clients(model)) await fails(() => client.invoke("[[stub error=429]]"), status(429), 429);
    for (const client of clients("no/such")) await fails(() => client.invoke("hi"), status(400), 400);
    for (const client of clients(model, { apiKey: "sk-no" })) await fails(() => client.invoke("hi"), status(401), 401);
  },
  async retries(model) {
    for (const client of clients(model, { maxRetries: 2 })) expect((await client.invoke(flaky(model))).text, "no answer");
  },
  async cancel(model) {
    for (const client of clients(model)) {
      await leaves(async () => {
        const abort = new AbortController();
        for await (const piece of await client.stream(endless, { signal: abort.signal })) if (piece.text) break;
        abort.abort();
      });
    }
  },
  async embeddings() {
    const made = new OpenAIEmbeddings({ model: "stub/embed", apiKey: key, configuration: { baseURL: url } });
    expect((await made.embedDocuments(["a", "b"])).length === 2, "no vectors");
  },
});
