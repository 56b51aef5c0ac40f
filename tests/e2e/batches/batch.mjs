// A batch with OpenAI's SDK for Node: made at one ingress, waited for and read at another.
import OpenAI, { toFile } from "openai"

const [made, read] = process.env.SLUICE_URLS.split(" ").map(
  baseURL => new OpenAI({ baseURL, apiKey: process.env.SLUICE_KEY, maxRetries: 0 }),
)
const names = Array.from({ length: Number(process.env.LINES) }, (_, number) => `line-${number}`)
const lines = names.map(name => JSON.stringify({
  custom_id: name,
  method: "POST",
  url: "/v1/chat/completions",
  body: { model: "stub/echo", messages: [{ role: "user", content: `[[stub chunks=5 gap_ms=20]] ${name}` }] },
}))
const file = await made.files.create({ file: await toFile(Buffer.from(lines.join("\n") + "\n"), "lines.jsonl"), purpose: "batch" })
let batch = await made.batches.create({
  input_file_id: file.id, endpoint: "/v1/chat/completions", completion_window: "24h", metadata: { night: "1" },
})
const seen = [batch.status]
while (!["completed", "failed", "expired", "cancelled"].includes(batch.status)) {
  batch = await read.batches.retrieve(batch.id)
  if (seen.at(-1) !== batch.status) seen.push(batch.status)
}
const answers = (await (await read.files.content(batch.output_file_id)).text()).trim().split("\n").map(line => JSON.parse(line))
const listed = []
for await (const one of read.batches.list({ limit: 1 })) listed.push(one.id)
console.log(JSON.stringify({
  names: answers.map(answer => answer.custom_id),
  requests: answers.map(answer => answer.response.request_id),
  texts: answers.map(answer => answer.response.body.choices[0].message.content.length > 0),
  counts: batch.request_counts,
  metadata: batch.metadata,
  listed: listed.includes(batch.id),
  seen,
}))
