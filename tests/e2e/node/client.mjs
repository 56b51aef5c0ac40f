// The Node SDKs against a running gateway; prints one JSON object of what they saw.
import OpenAI from "openai";
import { createOpenAI } from "@ai-sdk/openai";
import { generateText, streamText } from "ai";

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

console.log(JSON.stringify(seen));
