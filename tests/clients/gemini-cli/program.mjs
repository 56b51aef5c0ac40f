// Gemini CLI with GOOGLE_GEMINI_BASE_URL.
import { join } from "node:path";
import { Absent, key, run, url } from "./cases.mjs";
import { folder, output } from "./programs.mjs";

const gemini = join(folder, "node_modules/@google/gemini-cli/bundle/gemini.js");

await run({
  async chat(model) {
    const environment = { GEMINI_DEFAULT_AUTH_TYPE: "gemini-api-key", GEMINI_API_KEY: key, GOOGLE_GEMINI_BASE_URL: url, GEMINI_CLI_TRUST_WORKSPACE: "true" };
    const { out, err, code } = await output(process.execPath, [gemini, "-m", model, "-p", "hello"], environment, { failing: true });
    if (code !== 0 && /not found|404|no such route/i.test(out + err)) throw new Absent("speaks Gemini's own API alone, which is no surface of Sluice");
    if (code !== 0) throw new Error((out + err).slice(-200));
  },
});
