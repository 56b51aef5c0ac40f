// The Node SDKs against a running gateway; prints one JSON object of what they saw.
import Anthropic from "@anthropic-ai/sdk";
import OpenAI from "openai";
import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import { betaTool } from "@anthropic-ai/sdk/helpers/beta/json-schema";
import { generateText, jsonSchema, Output, stepCountIs, streamText, tool } from "ai";

const [baseURL, apiKey, stubURL] = process.argv.slice(2);
const client = new OpenAI({ baseURL, apiKey, maxRetries: 0 });
const messages = [{ role: "user", content: "hello" }];
const seen = {};

const whole = await client.chat.completions.create({ model: "stub/echo", messages });
seen.whole = whole.choices[0].message.content;
seen.usage = whole.usage;

seen.streamed = "";
for await (const chunk of await client.chat.completions.create({ model: "stub/echo", messages, stream: true })) {
  seen.streamed += chunk.choices[0].delta.content ?? "";
}
const counted = { model: "stub/echo", messages, stream: true, stream_options: { include_usage: true } };
for await (const chunk of await client.chat.completions.create(counted)) if (chunk.usage) seen.streamedUsage = chunk.usage;

const png = "iVBORw0KGgo=";

// Forms with files, a recording, an answer that is stored.
const recording = await OpenAI.toFile(Buffer.alloc(64_000, 7), "a.mp3");
const heard = { model: "stub/whisper", file: recording, response_format: "srt" };
seen.subtitles = await client.audio.transcriptions.create(heard);
const drawn = { model: "stub/gpt-image", prompt: "a hat", image: [await OpenAI.toFile(Buffer.from(png, "base64"), "a.png")] };
seen.edited = (await client.images.edit(drawn)).data.length;
const spoken = await client.audio.speech.create({ model: "stub/speech", voice: "alloy", input: "one two" });
seen.spoken = Buffer.from(await spoken.arrayBuffer()).toString();
const stored = await client.responses.create({ model: "claude/echo", input: "hello", store: true });
seen.stored = (await client.responses.retrieve(stored.id)).output_text === stored.output_text;
seen.listed = (await client.responses.inputItems.list(stored.id)).data.length;
await client.responses.delete(stored.id);
const schema = { type: "object", properties: { striped: { type: "boolean" } }, required: ["striped"], additionalProperties: false };
const endless = "[[stub chunks=500 gap_ms=20]]";
const sent = async () => JSON.stringify(await (await fetch(`${stubURL}/stub/last`)).json());
const cancelled = async () => (await (await fetch(`${stubURL}/stub/stats`)).json()).cancelled ?? 0;

// Begins a stream, goes away, and waits until the provider has noticed.
async function leaves(begin) {
  const before = await cancelled();
  await begin();
  while ((await cancelled()) === before) await new Promise((resolve) => setTimeout(resolve, 20));
  return true;
}

const tools = [{ type: "function", function: { name: "weather", parameters: { type: "object", properties: {} } } }];
const called = await client.chat.completions.create({
  model: "stub/echo",
  messages: [{ role: "user", content: "[[stub tool=1]]" }],
  tools,
});
seen.tool = called.choices[0].message.tool_calls[0].function.name;

const shown = [{ type: "text", text: "what?" }, { type: "image_url", image_url: { url: `data:image/png;base64,${png}` } }];
await client.chat.completions.create({ model: "claude/echo", messages: [{ role: "user", content: shown }] });
seen.image = (await sent()).includes(png);
const formed = await client.chat.completions.create({
  model: "gemini/echo",
  messages,
  response_format: { type: "json_schema", json_schema: { name: "animal", schema, strict: true } },
});
seen.structured = JSON.parse(formed.choices[0].message.content);
seen.aborted = await leaves(async () => {
  const stream = await client.chat.completions.create({
    model: "stub/echo",
    messages: [{ role: "user", content: endless }],
    stream: true,
  });
  for await (const _ of stream) break;
  stream.controller.abort();
});

seen.errors = {};
for (const [name, model, content] of [
  ["unknown", "no/such", "hi"],
  ["limited", "stub/echo", "[[stub error=429]]"],
]) {
  try {
    await client.chat.completions.create({ model, messages: [{ role: "user", content }] });
  } catch (error) {
    seen.errors[name] = [error.constructor.name, error.status];
  }
}
try {
  await new OpenAI({ baseURL, apiKey: "nonsense", maxRetries: 0 }).chat.completions.create({ model: "stub/echo", messages });
} catch (error) {
  seen.errors.key = [error.constructor.name, error.status];
}

const kilo = createOpenAI({ baseURL, apiKey });
seen.ai = (await generateText({ model: kilo.chat("stub/echo"), prompt: "hello" })).text;
seen.aiStreamed = "";
for await (const text of streamText({ model: kilo.chat("stub/echo"), prompt: "hello" }).textStream) seen.aiStreamed += text;

// A stream that broke off is not one that ended.
seen.broken = {};
for (const surface of ["chat", "responses"]) {
  const model = kilo[surface]("stub/echo");
  const running = streamText({ model, prompt: "[[stub fail_after=2]]", maxRetries: 0, onError: () => {} });
  for await (const part of running.fullStream) if (part.type === "finish") seen.broken[surface] = part.finishReason;
}

// As the documentation of the gateway has it: the model by its name alone, which calls the Responses API.
const weather = tool({
  inputSchema: jsonSchema({ type: "object", properties: { city: { type: "string" } } }),
  execute: async ({ city }) => `sunny in ${city}`,
});
const vercel = {
  responses: kilo,
  chat: kilo.chat,
  messages: createAnthropic({ baseURL, apiKey }),
};
seen.vercel = {};
for (const [surface, provider] of Object.entries(vercel)) {
  for (const model of ["stub/echo", "claude/echo", "gemini/echo", "converse/echo", "responses/echo"]) {
    let streamed = "";
    const running = streamText({ model: provider(model), prompt: "hello" });
    for await (const text of running.textStream) streamed += text;
    const whole = await generateText({ model: provider(model), prompt: "hello" });
    const called = await generateText({ model: provider(model), prompt: "[[stub tool=1 chunks=0]]", tools: { weather } });
    seen.vercel[`${surface} ${model}`] = {
      same: whole.text === streamed && whole.text.split(" ").length === 8,
      usage: (await running.usage).outputTokens === whole.usage.outputTokens && whole.usage.outputTokens === 8,
      tool: called.toolCalls[0]?.toolName,
      result: called.toolResults[0]?.output,
    };
    const content = [{ type: "text", text: "what?" }, { type: "image", image: png, mediaType: "image/png" }];
    await generateText({ model: provider(model), messages: [{ role: "user", content }] });
    seen.vercel[`${surface} ${model}`].image = (await sent()).includes(png);
    // For models that it does not know @ai-sdk/anthropic demands a tool call instead.
    const output = Output.object({ schema: jsonSchema(schema) });
    const animal = await generateText({ model: provider(model), prompt: "a zebra?", output });
    seen.vercel[`${surface} ${model}`].structured = animal.output;
    seen.vercel[`${surface} ${model}`].aborted = await leaves(async () => {
      const abort = new AbortController();
      const left = streamText({ model: provider(model), prompt: endless, abortSignal: abort.signal });
      for await (const _ of left.textStream) break;
      abort.abort();
    });
  }
}

// The same snippet over three turns, with a tool loop in the first; `store` unset is what the snippet leaves it.
async function answers(options, streamed) {
  if (!streamed) return generateText(options);
  const running = streamText(options);
  for await (const _ of running.textStream);
  return { text: await running.text, steps: await running.steps, responseMessages: await running.responseMessages };
}
seen.conversations = {};
for (const model of ["stub/echo", "claude/echo", "gemini/echo", "converse/echo", "responses/echo"]) {
  for (const store of [undefined, false]) {
    for (const streamed of [false, true]) {
      const said = [];
      const ask = async (content) => {
        said.push({ role: "user", content });
        const options = { model: kilo(model), messages: said, tools: { weather }, stopWhen: stepCountIs(4) };
        const answer = await answers({ ...options, providerOptions: { openai: { store } } }, streamed);
        said.push(...answer.responseMessages);
        return answer;
      };
      const first = await ask("[[stub tool=1 think=1 chunks=0]]");
      const second = await ask("[[stub think=1]] and then?");
      const third = await ask("and at last?");
      const last = await sent();
      seen.conversations[`${model} ${store} ${streamed}`] = {
        steps: first.steps.length,
        kept: [first.text, second.text, "sunny in Graz"].every((text) => text && last.includes(text)),
        // What only the model can read of its thought, where there is such a thing.
        thought: { "claude/echo": "c2ln", "gemini/echo": "c2ln", "converse/echo": "c2ln", "responses/echo": "c2VjcmV0" }[model] ?? "",
        again: last,
        answered: third.text.length > 0,
      };
    }
  }
}

const claude = new Anthropic({ baseURL, apiKey, maxRetries: 0 });
seen.claude = {};
for (const model of ["stub/echo", "claude/echo"]) {
  const ask = { model, max_tokens: 100, messages };
  const whole = await claude.messages.create(ask);
  const streamed = await claude.messages.stream(ask).finalText();
  const image = { type: "image", source: { type: "base64", media_type: "image/png", data: png } };
  await claude.messages.create({ model, max_tokens: 100, messages: [{ role: "user", content: [image] }] });
  seen.claudeSees = (await sent()).includes(png);
  const formed = await claude.messages.create({ ...ask, output_config: { format: { type: "json_schema", schema } } });
  seen.claudeStructured = JSON.parse(formed.content[0].text);
  const use = { name: "weather", input_schema: { type: "object", properties: { city: { type: "string" } } } };
  const asked = await claude.messages.create({
    ...ask,
    messages: [{ role: "user", content: "[[stub tool=1 chunks=0]]" }],
    tools: [use],
  });
  seen.claudeCalls = asked.content[0].name;
  seen.claudeAborted = await leaves(async () => {
    const stream = claude.messages.stream({ ...ask, max_tokens: 4000, messages: [{ role: "user", content: endless }] });
    for await (const event of stream) if (event.type === "content_block_delta") break;
    stream.abort();
  });
  const run = async ({ city }) => `sunny in ${city}`;
  const inputSchema = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
  const runner = claude.beta.messages.toolRunner({
    ...ask,
    messages: [{ role: "user", content: "[[stub tool=1 chunks=0]]" }],
    tools: [betaTool({ name: "weather", description: "of a city", inputSchema, run })],
  });
  const ran = await runner.runUntilDone();
  const history = await sent();
  seen.claudeRuns = ran.content[0].text.length > 0 && ["[[stub tool=1", "sunny in Graz"].every((text) => history.includes(text));
  const counted = await claude.messages.countTokens({ model, messages });
  seen.claudeCounts = counted.input_tokens > 0;
  seen.claude[model] = whole.content[0].text === streamed && whole.stop_reason === "end_turn";
}

console.log(JSON.stringify(seen));
