// openai for Node: chat completions, Responses and embeddings.
import OpenAI from "openai";
import { animal, city, endless, expect, fails, flaky, image, key, leaves, run, sent, shown, thought, url, weather } from "./cases.mjs";

const client = new OpenAI({ baseURL: url, apiKey: key, maxRetries: 0 });
const said = (content) => [{ role: "user", content }];
const described = { name: "weather", description: "of a city", parameters: city };
const picture = `data:image/png;base64,${image}`;

async function loop(model, count) {
  for (const streamed of [false, true]) {
    const ask = { model, messages: said(`[[stub tool=${count} chunks=0]]`), tools: [{ type: "function", function: described }] };
    const completion = streamed
      ? await client.chat.completions.stream(ask).finalChatCompletion()
      : await client.chat.completions.create(ask);
    const { message, finish_reason } = completion.choices[0];
    expect(finish_reason === "tool_calls" && new Set(message.tool_calls.map((call) => call.id)).size === count, completion);
    const results = message.tool_calls.map((call) => ({
      role: "tool",
      tool_call_id: call.id,
      content: weather(JSON.parse(call.function.arguments)),
    }));
    const done = await client.chat.completions.create({ ...ask, messages: [...ask.messages, message, ...results] });
    expect(done.choices[0].message.content && (await sent(model)).split("sunny in Graz").length === count + 1, done);
  }
  const ask = { model, input: said(`[[stub tool=${count} chunks=0]]`), tools: [{ type: "function", strict: false, ...described }] };
  const response = await client.responses.stream(ask).finalResponse();
  const calls = response.output.filter((item) => item.type === "function_call");
  expect(new Set(calls.map((call) => call.call_id)).size === count, response.output);
  const results = calls.map((call) => ({
    type: "function_call_output",
    call_id: call.call_id,
    output: weather(JSON.parse(call.arguments)),
  }));
  const done = await client.responses.create({ ...ask, input: [...ask.input, ...response.output, ...results] });
  expect(done.output_text && (await sent(model)).split("sunny in Graz").length === count + 1, done.output);
}

await run({
  async chat(model) {
    const whole = await client.chat.completions.create({ model, messages: said("hello") });
    expect(whole.choices[0].message.content && whole.choices[0].finish_reason === "stop" && whole.usage, whole);
    const response = await client.responses.create({ model, input: "hello" });
    expect(response.output_text === whole.choices[0].message.content, response.output);
  },
  async stream(model) {
    const ask = { model, messages: said("hello") };
    const whole = await client.chat.completions.create(ask);
    let text = "";
    for await (const chunk of await client.chat.completions.create({ ...ask, stream: true })) text += chunk.choices[0].delta.content ?? "";
    expect(text === whole.choices[0].message.content, text);
    let usage;
    for await (const chunk of await client.chat.completions.create({ ...ask, stream: true, stream_options: { include_usage: true } }))
      usage = chunk.usage ?? usage;
    expect(usage.completion_tokens === whole.usage.completion_tokens, usage);
    expect((await client.responses.stream({ model, input: "hello" }).finalResponse()).output_text === text, "responses");
  },
  tools: (model) => loop(model, 1),
  parallel: (model) => loop(model, 2),
  async structured(model) {
    const schema = { name: "animal", schema: animal, strict: true };
    const form = { type: "json_schema", json_schema: schema };
    const whole = await client.chat.completions.parse({ model, messages: said("a zebra?"), response_format: form });
    expect(JSON.parse(whole.choices[0].message.content).striped === true, whole);
    const response = await client.responses.create({ model, input: "a zebra?", text: { format: { type: "json_schema", ...schema } } });
    expect(JSON.parse(response.output_text).striped === true, response.output_text);
  },
  async images(model) {
    const content = [{ type: "text", text: "what?" }, { type: "image_url", image_url: { url: picture } }];
    await client.chat.completions.create({ model, messages: said(content) });
    expect(await shown(model), "chat");
    const parts = [{ type: "input_text", text: "what?" }, { type: "input_image", image_url: picture, detail: "auto" }];
    await client.responses.create({ model, input: said(parts) });
    expect(await shown(model), "responses");
  },
  async thinking(model) {
    const ask = { model, input: said("[[stub think=1]]"), reasoning: { effort: "low", summary: "auto" } };
    for (const response of [await client.responses.create(ask), await client.responses.stream(ask).finalResponse()]) {
      const thoughts = response.output.filter((item) => item.type === "reasoning").flatMap((item) => item.summary);
      expect(thoughts.map((part) => part.text).join("") === thought, response.output);
      const more = await client.responses.create({ ...ask, input: [...said("hi"), ...response.output, ...said("and?")] });
      expect(more.output_text, more.output);
    }
  },
  async errors(model) {
    const ask = (content, name = model) => client.chat.completions.create({ model: name, messages: said(content) });
    await fails(() => ask("hi", "no/such"), (error) => error instanceof OpenAI.BadRequestError, "BadRequestError");
    await fails(() => ask("[[stub error=429]]"), (error) => error instanceof OpenAI.RateLimitError, "RateLimitError");
    const nobody = new OpenAI({ baseURL: url, apiKey: "sk-no", maxRetries: 0 });
    const refused = () => nobody.chat.completions.create({ model, messages: said("hi") });
    await fails(refused, (error) => error instanceof OpenAI.AuthenticationError, "AuthenticationError");
  },
  async retries(model) {
    const patient = new OpenAI({ baseURL: url, apiKey: key, maxRetries: 2 });
    expect((await patient.chat.completions.create({ model, messages: said(flaky(model)) })).choices.length, "no answer");
  },
  async cancel(model) {
    await leaves(async () => {
      const stream = await client.chat.completions.create({ model, messages: said(endless), stream: true });
      for await (const _ of stream) break;
      stream.controller.abort();
    });
  },
  async embeddings(model) {
    for (const name of ["stub/embed", "gemini/embed"]) {
      const made = await client.embeddings.create({ model: name, input: ["a", "b"] });
      expect(made.data.length === 2 && made.data[0].embedding.length > 0, made);
    }
  },
  // Forms with files, a recording, an answer that is stored.
  async endpoints(model) {
    if (model !== "stub/echo") return;
    const recording = await OpenAI.toFile(Buffer.alloc(64_000, 7), "a.mp3");
    const heard = await client.audio.transcriptions.create({ model: "stub/whisper", file: recording, response_format: "srt" });
    expect(heard.includes("00:00:03,500 --> 00:00:07,200\n64000 bytes"), heard);
    const drawing = await OpenAI.toFile(Buffer.from(image, "base64"), "a.png");
    const drawn = await client.images.edit({ model: "stub/gpt-image", prompt: "a hat", image: [drawing] });
    expect(drawn.data.length === 1, drawn);
    const spoken = await client.audio.speech.create({ model: "stub/speech", voice: "alloy", input: "one two" });
    expect(Buffer.from(await spoken.arrayBuffer()).toString() === "one two ", "speech");
    const stored = await client.responses.create({ model: "claude/echo", input: "hello", store: true });
    expect((await client.responses.retrieve(stored.id)).output_text === stored.output_text, stored);
    expect((await client.responses.inputItems.list(stored.id)).data.length === 1, "input items");
    await client.responses.delete(stored.id);
  },
  async models(model) {
    const names = [];
    for await (const one of client.models.list()) names.push(one.id);
    expect(names.includes(model), names);
  },
});
