// What every Node client's program is run by. Nothing but Node itself.
export const url = process.env.SLUICE_URL;
export const key = process.env.SLUICE_KEY;
export const models = process.env.SLUICE_MODELS.split(" ");
const { SLUICE_STUB: stub, SLUICE_MOCK: mock } = process.env;
export const image =
  "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAIAAABLbSncAAAAGElEQVR4nGNkYPjPgA0wYRUdVhKMjIyMAAmpAQ9/T3TpAAAAAElFTkSuQmCC";
export const city = { type: "object", properties: { city: { type: "string" } }, required: ["city"], additionalProperties: false };
export const animal = { type: "object", properties: { striped: { type: "boolean" } }, required: ["striped"], additionalProperties: false };
export const thought = "Let me see.";
export const endless = "[[stub chunks=500 gap_ms=20]]";

// The client has no such feature, or not with this model.
export class Absent extends Error {}

export const weather = ({ city }) => `sunny in ${city}`;

// A prompt that fails the first time that the provider sees it.
export const flaky = (model) => `[[stub flaky=${process.pid}-${process.hrtime.bigint()}]] ${model}`;

const got = async (where) => (await fetch(where)).json();

// The body that the provider received last.
export async function sent(model) {
  if (model.startsWith("mock/")) return JSON.stringify((await got(`${mock}/__aimock/journal`)).at(-1).body);
  return JSON.stringify(await got(`${stub}/stub/last`));
}

// The provider received the image. Of what others than chat completions brought it, the mock keeps texts alone.
export const shown = async (model) => (model.startsWith("mock/") && model !== "mock/chat") || (await sent(model)).includes(image);

const cancelled = async () => (await got(`${stub}/stub/stats`)).cancelled ?? 0;

// Begins a stream, goes away, and waits until the provider has noticed.
export async function leaves(begin) {
  const before = await cancelled();
  await begin();
  const end = Date.now() + 15_000;
  while ((await cancelled()) === before) {
    if (Date.now() > end) throw new Error("the provider went on");
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

export function expect(holds, what) {
  if (!holds) throw new Error(typeof what === "string" ? what : (JSON.stringify(what) ?? "nothing").slice(0, 300));
}

// The promise is refused with an error that passes the test.
export async function fails(promise, test, what) {
  let error;
  try {
    await promise();
  } catch (caught) {
    error = caught;
  }
  expect(error, "no error");
  expect(test(error), `${error.constructor.name} ${error.status ?? error.statusCode ?? ""} instead of ${what}: ${error.message}`);
}

// Runs each case with each model, and prints a line for each.
export async function run(cases) {
  for (const [name, test] of Object.entries(cases)) {
    for (const model of models) {
      if (name === "cancel" && model.startsWith("mock/")) continue;
      const found = { case: name, model };
      try {
        await test(model);
        found.ok = true;
      } catch (error) {
        if (error instanceof Absent) found.absent = error.message;
        else found.why = `${error.constructor.name}: ${error.message}`.slice(0, 400);
        if (process.env.SLUICE_TRACE) console.error(error);
      }
      console.log(JSON.stringify(found));
    }
  }
  process.exit(0);
}
