// What a route of the AI SDK gives to useChat, and what it gives after a reload.
import { createOpenAI } from "@ai-sdk/openai";
import { streamText } from "ai";
import { replaying } from "./ai-sdk.ts";
import { resuming } from "./resuming.ts";

const { SLUICE_URL: url, SLUICE_KEY: apiKey, TEXT: prompt } = process.env;
let begun = 0;
let id = "";

const answer = (send: typeof fetch) => {
  const model = createOpenAI({ baseURL: url, apiKey, fetch: send }).chat("stub/echo");
  const running = streamText({ model, prompt, maxRetries: 0 });
  // As it is, but for the ID of the message, which is made anew.
  return running.toUIMessageStreamResponse({ generateMessageId: () => "message" });
};

const first = answer(
  resuming({
    onStream: (found) => {
      begun += 1;
      id = found;
    },
  }),
);
const body = first.body!.getReader();
const whole = rest();
while (!id) await new Promise((resolve) => setTimeout(resolve, 5));
// The page is loaded again, while the answer runs.
const again = answer(replaying({ url: url!, apiKey: apiKey!, id }));
const [one, seen] = await Promise.all([whole, again.text()]);

async function rest(): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  for (let next = await body.read(); !next.done; next = await body.read()) text += decoder.decode(next.value, { stream: true });
  return text;
}

const text = [...one.matchAll(/"delta":"((?:[^"\\\\]|\\\\.)*)"/g)].map((found) => found[1]).join("");
console.log(JSON.stringify({ first: one, again: seen, text, begun }));
