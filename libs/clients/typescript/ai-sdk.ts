/**
 * The AI SDK's resumable streams (`useChat({ resume: true })`) without Redis: the gateway's log has the stream.
 *
 * `useChat` asks `GET /api/chat/ID/stream` after a reload, and wants the whole UI message stream of the answer that runs,
 * or 204. What runs is a stream of the gateway; `replaying` is a `fetch` that answers the model's call with it, so the
 * same `streamText` makes the same UI message stream again, live, and no model is asked.
 */

import { resuming } from "./resuming.ts";

export interface Stream {
  /** Of the gateway, e.g. `http://127.0.0.1:8080/api/gateway`. */
  url: string;
  apiKey: string;
  /** `X-Sluice-Stream` of the answer; see `onStream` of `resuming`. */
  id: string;
}

/** A `fetch` that answers a model's call with a stream that was begun before. */
export function replaying(stream: Stream, send: typeof fetch = resuming()): typeof fetch {
  return async (_input, init) => {
    const headers = { authorization: `Bearer ${stream.apiKey}` };
    return send(`${stream.url}/streams/${stream.id}`, { headers, signal: init?.signal ?? null });
  };
}

/** Ends an answer, for a stop button: with `resume`, aborting only closes a connection. */
export async function stop(stream: Stream, send: typeof fetch = fetch): Promise<void> {
  const headers = { authorization: `Bearer ${stream.apiKey}` };
  await send(`${stream.url}/streams/${stream.id}`, { method: "DELETE", headers });
}
