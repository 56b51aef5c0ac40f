// Vercel's AI SDK with one provider package, named by SLUICE_FLAVOUR.
import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { createOpenRouter } from "@openrouter/ai-sdk-provider";
import { APICallError, embedMany, generateText, jsonSchema, Output, stepCountIs, streamText, tool } from "ai";
import { Absent, animal, city, endless, expect, fails, flaky, image, key, leaves, run, sent, shown, thought, url, weather } from "./cases.mjs";

const made = (apiKey) => ({
  // As the documentation of the gateway has it: the model by its name alone, which calls the Responses API.
  responses: createOpenAI({ baseURL: url, apiKey }),
  chat: createOpenAI({ baseURL: url, apiKey }).chat,
  compatible: createOpenAICompatible({ name: "sluice", baseURL: url, apiKey, includeUsage: true, supportsStructuredOutputs: true }),
  messages: createAnthropic({ baseURL: url, apiKey }),
  // As it comes, it does not ask for the usage of a stream.
  openrouter: createOpenRouter({ baseURL: url, apiKey, compatibility: "strict" }),
});
const flavour = process.env.SLUICE_FLAVOUR;
const provider = made(key)[flavour];
const tools = { weather: tool({ description: "of a city", inputSchema: jsonSchema(city), execute: async (input) => weather(input) }) };
const thinks = {
  responses: { openai: { reasoningEffort: "low", reasoningSummary: "auto", forceReasoning: true } },
  compatible: { sluice: { reasoningEffort: "low" } },
  messages: { anthropic: { thinking: { type: "enabled", budgetTokens: 2048 } } },
  openrouter: { openrouter: { reasoning: { effort: "low" } } },
};

// What only the stub's models can read of their thought, where there is such a thing: it must come back to them.
const opaque = { "claude/echo": "c2ln", "gemini/echo": "c2ln", "converse/echo": "c2ln", "responses/echo": "c2VjcmV0" };

// Whole or streamed, with the same fields.
async function answer(options, streamed) {
  if (!streamed) return generateText({ maxRetries: 0, ...options });
  const running = streamText({ maxRetries: 0, onError: () => {}, ...options });
  for await (const _ of running.textStream);
  const [text, steps, responseMessages, usage, reasoningText] = await Promise.all([
    running.text, running.steps, running.responseMessages, running.usage, running.reasoningText,
  ]);
  return { text, steps, responseMessages, usage, reasoningText };
}

async function loop(model, count) {
  for (const streamed of [false, true]) {
    const options = { model: provider(model), prompt: `[[stub tool=${count} chunks=0]]`, tools, stopWhen: stepCountIs(4) };
    const done = await answer(options, streamed);
    expect(done.steps.length === 2 && done.text, done.steps.length);
    expect(done.steps[0].toolResults.length === count, done.steps[0].toolResults);
    expect((await sent(model)).split("sunny in Graz").length === count + 1, "results");
  }
}

await run({
  async chat(model) {
    const whole = await answer({ model: provider(model), prompt: "hello", system: "Be brief." });
    expect(whole.text && whole.usage.outputTokens > 0, whole.usage);
  },
  async stream(model) {
    const whole = await answer({ model: provider(model), prompt: "hello" });
    const streamed = await answer({ model: provider(model), prompt: "hello" }, true);
    expect(streamed.text === whole.text && streamed.usage.outputTokens === whole.usage.outputTokens, streamed.usage);
  },
  async tools(model) {
    await loop(model, 1);
    // Three turns that hang together, with `store` as the snippet leaves it, and off.
    for (const store of [undefined, false]) {
      for (const streamed of [false, true]) {
        const said = [];
        const ask = async (content) => {
          said.push({ role: "user", content });
          const providerOptions = flavour === "responses" ? { openai: { store } } : {};
          const done = await answer({ model: provider(model), messages: said, tools, stopWhen: stepCountIs(4), providerOptions }, streamed);
          said.push(...(done.responseMessages ?? done.response.messages));
          return done;
        };
        const first = await ask(opaque[model] ? "[[stub tool=1 think=1 chunks=0]]" : "[[stub tool=1 chunks=0]]");
        const second = await ask("hello");
        await ask("and at last?");
        const last = await sent(model);
        expect(first.steps.length === 2 && [first.text, second.text, "sunny in Graz"].every((part) => part && last.includes(part)), last);
        expect(!last.includes("sluice."), "what is ours went to the provider");
        if (flavour === "responses") expect(last.includes(opaque[model] ?? ""), last);
      }
      if (flavour !== "responses") break;
    }
  },
  parallel: (model) => loop(model, 2),
  async structured(model) {
    // For models that it does not know @ai-sdk/anthropic demands a tool call instead.
    const output = Output.object({ schema: jsonSchema(animal) });
    for (const streamed of [false, true]) {
      const done = await answer({ model: provider(model), prompt: "a zebra?", output }, streamed);
      expect(JSON.parse(done.text).striped === true || done.output?.striped === true, done.text);
    }
  },
  async images(model) {
    const content = [{ type: "text", text: "what?" }, { type: "image", image, mediaType: "image/png" }];
    await answer({ model: provider(model), messages: [{ role: "user", content }] });
    expect(await shown(model), "image");
  },
  async thinking(model) {
    if (!thinks[flavour]) throw new Absent("chat completions of OpenAI show no thoughts");
    for (const streamed of [false, true]) {
      const said = [{ role: "user", content: "[[stub think=1]]" }];
      const first = await answer({ model: provider(model), messages: said, providerOptions: thinks[flavour] }, streamed);
      expect(first.reasoningText === thought, first.reasoningText ?? "no thought");
      said.push(...(first.responseMessages ?? first.response.messages), { role: "user", content: "and then?" });
      expect((await answer({ model: provider(model), messages: said, providerOptions: thinks[flavour] }, streamed)).text, "no answer");
      const last = await sent(model);
      expect(!last.includes("sluice."), "what is ours went to the provider");
    }
  },
  async errors(model) {
    const status = (code) => (error) => APICallError.isInstance(error) && error.statusCode === code;
    const ask = (prompt, name = model, who = provider) => answer({ model: who(name), prompt });
    await fails(() => ask("hi", "no/such"), status(400), 400);
    await fails(() => ask("[[stub error=429]]"), status(429), 429);
    await fails(() => ask("hi", model, made("sk-no")[flavour]), status(401), 401);
    if (model.startsWith("mock/")) return;
    const running = streamText({ model: provider(model), prompt: "[[stub fail_after=2]]", maxRetries: 0, onError: () => {} });
    let reason;
    for await (const part of running.fullStream) if (part.type === "finish") reason = part.finishReason;
    // A stream that broke off is not one that ended.
    expect(reason === undefined || reason === "error", reason);
  },
  async retries(model) {
    expect((await answer({ model: provider(model), prompt: flaky(model), maxRetries: 2 })).text, "no answer");
  },
  async cancel(model) {
    await leaves(async () => {
      const abort = new AbortController();
      const left = streamText({ model: provider(model), prompt: endless, abortSignal: abort.signal });
      for await (const _ of left.textStream) break;
      abort.abort();
    });
  },
  async embeddings() {
    const model = provider.textEmbeddingModel ?? provider.embeddingModel;
    if (!model || flavour === "messages") throw new Absent("Anthropic has none");
    const { embeddings } = await embedMany({ model: model.call(provider, "stub/embed"), values: ["a", "b"] });
    expect(embeddings.length === 2 && embeddings[0].length > 0, embeddings);
  },
});
