/**
 * Streams of a Sluice that go on by themselves when a connection breaks, for everything that takes a `fetch`.
 *
 *     new OpenAI({ baseURL, apiKey, fetch: resuming() })
 *     createOpenAI({ baseURL, apiKey, fetch: resuming() })
 *
 * Each streamed answer of Sluice has an `X-Sluice-Stream`, and each event an `id:`. Where a connection breaks, `GET
 * /streams/ID` is asked with `Last-Event-ID`, and the reader sees one stream without a seam.
 */

export interface Options {
  /** Which sends requests; by default the global one. */
  fetch?: typeof fetch;
  /** So long after a break without a further event the stream fails with `GivenUpError`. */
  giveUpMs?: number;
  /** The base URL of the gateway, where it is not `/api/gateway` at the same host. */
  url?: string;
  /** Given the ID of each stream as it begins. */
  onStream?: (id: string) => void;
}

/** The stream could not be gone on with; `stream` and `lastId` say with what to ask later. */
export class GivenUpError extends Error {
  readonly stream: string;
  readonly lastId: string | undefined;

  constructor(why: string, stream: string, lastId: string | undefined) {
    super(`the stream ${stream} broke off after ${lastId ?? "nothing"}: ${why}`);
    this.name = "GivenUpError";
    this.stream = stream;
    this.lastId = lastId;
  }
}

const FIRST_MS = 200;
const MOST_MS = 5_000;
const LATER = [429, 500, 502, 503, 504];
/** Headers by which Sluice knows whose the stream is. */
const NAMING = ["authorization", "x-api-key", "x-kilocode-organizationid", "idempotency-key"];
const STREAMS = /"stream"\s*:\s*true/;
const ID = /^id: (\d+)$/gm;

/** A `fetch` whose streamed answers go on. */
export function resuming(options: Options = {}): typeof fetch {
  const send = options.fetch ?? fetch;
  return async (input, init) => {
    const request = new Request(input, init);
    const text = request.method === "POST" ? await request.clone().text() : "";
    if (STREAMS.test(text) && !request.headers.has("x-sluice-on-disconnect")) {
      request.headers.set("x-sluice-on-disconnect", "continue");
    }
    const response = await send(request);
    const id = response.headers.get("x-sluice-stream");
    const events = response.headers.get("content-type")?.startsWith("text/event-stream");
    if (response.status !== 200 || !id || !events || !response.body) return response;
    const begins = request.method === "POST";
    if (begins) options.onStream?.(id);
    const headers = new Headers();
    for (const name of NAMING) {
      const value = request.headers.get(name);
      if (value) headers.set(name, value);
    }
    const base = options.url ?? `${new URL(request.url).origin}/api/gateway`;
    const giveUpMs = options.giveUpMs ?? 60_000;
    const one = new Stream(send, `${base}/streams/${id}`, id, headers, giveUpMs, request.signal, begins);
    return new Response(one.readable(response.body), { status: 200, headers: response.headers });
  };
}

class Stream {
  private readonly send: typeof fetch;
  private readonly url: string;
  private readonly id: string;
  private readonly headers: Headers;
  private readonly giveUpMs: number;
  private readonly signal: AbortSignal;
  /** Who only reads along cancels nothing. */
  private readonly begins: boolean;
  private lastId: string | undefined;
  private rest = new Uint8Array();
  private brokenSince: number | undefined;
  private tries = 0;
  private ended = false;

  constructor(
    send: typeof fetch,
    url: string,
    id: string,
    headers: Headers,
    giveUpMs: number,
    signal: AbortSignal,
    begins: boolean,
  ) {
    this.send = send;
    this.url = url;
    this.id = id;
    this.headers = headers;
    this.giveUpMs = giveUpMs;
    this.signal = signal;
    this.begins = begins;
  }

  readable(first: ReadableStream<Uint8Array>): ReadableStream<Uint8Array> {
    let reader = first.getReader();
    return new ReadableStream<Uint8Array>({
      pull: async (controller) => {
        while (true) {
          try {
            const { done, value } = await reader.read();
            if (done) {
              this.ended = true;
              if (this.rest.length) controller.enqueue(this.rest);
              controller.close();
              return;
            }
            const events = this.take(value);
            if (events.length) {
              controller.enqueue(events);
              return;
            }
          } catch (error) {
            if (this.signal.aborted) {
              await this.cancel();
              throw error;
            }
            const body = await this.again(String(error));
            if (!body) {
              this.ended = true;
              controller.close();
              return;
            }
            reader = body.getReader();
          }
        }
      },
      cancel: async (reason) => {
        await reader.cancel(reason).catch(() => undefined);
        await this.cancel();
      },
    });
  }

  /** How much of an event has come; comments are the connection's, and do not count. */
  private withoutComments(): number {
    while (this.rest[0] === 58 && this.rest.includes(10)) this.rest = this.rest.slice(this.rest.indexOf(10) + 1);
    return this.rest.length;
  }

  /** Whole events; of one in part the rest is asked for. */
  private take(piece: Uint8Array): Uint8Array {
    const all = new Uint8Array(this.rest.length + piece.length);
    all.set(this.rest);
    all.set(piece, this.rest.length);
    let end = 0;
    for (let at = all.length - 1; at > 0; at--) {
      if (all[at] === 10 && all[at - 1] === 10) {
        end = at + 1;
        break;
      }
    }
    this.rest = all.slice(end);
    this.brokenSince = undefined;
    this.tries = 0;
    const events = all.slice(0, end);
    const ids = [...new TextDecoder().decode(events).matchAll(ID)];
    const last = ids.at(-1);
    if (last) this.lastId = last[1];
    return events;
  }

  /** The rest of the stream; nothing where there is none. */
  private async again(why: string): Promise<ReadableStream<Uint8Array> | undefined> {
    let retryAfterMs = 0;
    while (true) {
      this.brokenSince ??= Date.now();
      const pause = Math.random() * Math.min(MOST_MS, FIRST_MS * 2 ** this.tries++) + retryAfterMs;
      if (Date.now() + pause - this.brokenSince > this.giveUpMs) throw new GivenUpError(why, this.id, this.lastId);
      await new Promise((resolve) => setTimeout(resolve, pause));
      const headers = new Headers(this.headers);
      const at = Number(this.lastId ?? 0) + this.withoutComments();
      if (at) headers.set("last-event-id", String(at));
      let response: Response;
      try {
        response = await this.send(this.url, { headers, signal: this.signal });
      } catch (error) {
        if (this.signal.aborted) throw error;
        [why, retryAfterMs] = [String(error), 0];
        continue;
      }
      if (response.status === 200 && response.body) return response.body;
      if (response.status === 204) return undefined;
      why = `status ${response.status}`;
      if (!LATER.includes(response.status)) throw new GivenUpError(why, this.id, this.lastId);
      retryAfterMs = Number(response.headers.get("retry-after") ?? 0) * 1000 || 0;
    }
  }

  /** Who leaves before the end wants no more. */
  private async cancel(): Promise<void> {
    if (this.ended || !this.begins) return;
    this.ended = true;
    // It goes on where that does not arrive, and ends by itself.
    await this.send(this.url, { method: "DELETE", headers: this.headers }).catch(() => undefined);
  }
}
