// The Node SDKs against a running gateway; prints one JSON object of what they saw.
import Anthropic from "@anthropic-ai/sdk";
import OpenAI from "openai";
import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import { generateText, jsonSchema, streamText, tool } from "ai";

const [baseURL, apiKey] = process.argv.slice(2);
const client = new OpenAI({ baseURL, apiKey, maxRetries: 0 });
const messages = [{ role: "user", content: "hello" }];
const seen = {};

const whole = await client.chat.completions.create({ model: "stub/echo", messages });
seen.whole = whole.choices[0].message.content;
seen.usage = whole.usage;

seen.streamed = "";
for await (const chunk of await client.chat.completions.create({ model: "stub/echo", messages, stream: true })) {
  seen.streamed += chunk.choices[0]?.delta.content ?? "";
  if (chunk.usage) seen.streamedUsage = chunk.usage;
}

const tools = [{ type: "function", function: { name: "weather", parameters: { type: "object", properties: {} } } }];
const called = await client.chat.completions.create({
  model: "stub/echo",
  messages: [{ role: "user", content: "[[stub tool=1]]" }],
  tools,
});
seen.tool = called.choices[0].message.tool_calls[0].function.name;

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
  for (const model of ["stub/echo", "claude/echo"]) {
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
  }
}

const claude = new Anthropic({ baseURL, apiKey, maxRetries: 0 });
seen.claude = {};
for (const model of ["stub/echo", "claude/echo"]) {
  const ask = { model, max_tokens: 100, messages };
  const whole = await claude.messages.create(ask);
  const streamed = await claude.messages.stream(ask).finalText();
  seen.claude[model] = whole.content[0].text === streamed && whole.stop_reason === "end_turn";
}

console.log(JSON.stringify(seen));
