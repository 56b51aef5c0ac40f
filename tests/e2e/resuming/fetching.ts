// A stream over a proxy that cuts; one that is left; and one that cannot go on.
import { GivenUpError, resuming } from "./resuming.ts";

const { SLUICE_URL: url, SLUICE_KEY: key, TEXT: content } = process.env;
const headers = { authorization: `Bearer ${key}`, "content-type": "application/json" };
const ask = (text: string, send: typeof fetch) =>
  send(`${url}/chat/completions`, {
    method: "POST",
    headers,
    body: JSON.stringify({ model: "stub/echo", stream: true, messages: [{ role: "user", content: text }] }),
  });

let id = "";
const text = await (await ask(content!, resuming({ onStream: (found) => (id = found) }))).text();

const leaving = await ask("[[stub chunks=2000 gap_ms=20]]", resuming());
const reader = leaving.body!.getReader();
await reader.read();
await reader.cancel();
const left = leaving.headers.get("x-request-id");

const lost = await ask(content!, resuming({ url: `${url}/nowhere` }));
const error = await lost.text().then(
  () => undefined,
  (failed) => failed,
);
const known = error instanceof GivenUpError ? error : undefined;
console.log(JSON.stringify({ id, text, left, name: known?.name ?? String(error), lastId: known?.lastId }));
