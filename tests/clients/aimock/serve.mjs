// @copilotkit/aimock, a provider mock of another project, told to answer the programs' prompts. Prints its URL.
import { LLMock } from "@copilotkit/aimock";

const striped = '{"striped":true}';
const weather = (count) => Array.from({ length: count }, () => ({ name: "weather", arguments: '{"city":"Graz"}' }));
const seen = new Set();

const text = ({ content }) => (typeof content === "string" ? content : (content ?? []).map((part) => part.text ?? "").join(" "));
const asked = (request) => text(request.messages.findLast((message) => message.role === "user") ?? {});
const knob = (request, name) => asked(request).match(new RegExp(`\\[\\[stub [^\\]]*\\b${name}=([^ \\]]+)`))?.[1];
const answered = (request) => request.messages.at(-1)?.role === "tool";
// A tool that must be called, by its name.
const demanded = ({ tool_choice: choice, tools, messages }) => {
  // Of Gemini's requests the mock does not keep the choice.
  if (tools?.length === 1 && tools[0].function.name !== "weather" && /zebra/.test(text(messages.at(-1)))) return tools[0].function.name;
  if (!tools?.length || !choice || choice === "auto" || choice === "none") return undefined;
  return choice.function?.name ?? choice.name ?? tools[0].function.name;
};
// Without it the mock counts nothing.
const counted = (answer) => ({ ...answer, usage: { prompt_tokens: 12, completion_tokens: 7, total_tokens: 19, input_tokens: 12, output_tokens: 7 } });
const failure = (status, type) => ({ error: { message: `the mock was asked for ${status}`, type }, status });

const mock = new LLMock({ port: Number(process.argv[2] ?? 0), chunkSize: 8, journalMaxEntries: 20 });
mock.addFixture({
  match: { predicate: () => true, endpoint: "chat" },
  response: (request) => {
    const again = knob(request, "flaky");
    if (again && !seen.has(again)) {
      seen.add(again);
      return failure(503, "server_error");
    }
    if (knob(request, "error")) return failure(Number(knob(request, "error")), "rate_limit_error");
    const calls = Number(knob(request, "tool") ?? 0);
    const reasoning = knob(request, "think") ? { reasoning: "Let me see.", reasoningSignature: "c2ln" } : {};
    const [, named, given] = asked(request).match(/\[\[stub [^\]]*\bcall=(\w+):(\{[^\]]*?\}) /) ?? [];
    const called = named ? Array.from({ length: calls }, () => ({ name: named, arguments: given })) : weather(calls);
    if (calls && !answered(request)) return counted({ toolCalls: called, ...reasoning });
    if (demanded(request) && !answered(request)) return counted({ toolCalls: [{ name: demanded(request), arguments: striped }] });
    if (/zebra/.test(asked(request))) return counted({ content: striped, ...reasoning });
    return counted({ content: "every token counts and none is lost", ...reasoning });
  },
});
await mock.start();
console.log(mock.url);
