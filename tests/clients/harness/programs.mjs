// Runs a program of a client's package, without what is set for whoever runs the tests.
import { spawn } from "node:child_process";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export const folder = process.env.SLUICE_CLIENT;

// A new empty folder.
export const fresh = () => mkdtempSync(join(tmpdir(), "client-"));

// The output of a command; rejects where it fails, unless that is wanted.
export function output(command, args, environment, { cwd = fresh(), failing = false, within = 60_000 } = {}) {
  return new Promise((resolve, reject) => {
    const env = { PATH: process.env.PATH, HOME: fresh(), ...environment };
    const child = spawn(command, args, { cwd, env, stdio: ["ignore", "pipe", "pipe"], timeout: within });
    let out = "";
    let err = "";
    child.stdout.on("data", (data) => (out += data));
    child.stderr.on("data", (data) => (err += data));
    child.on("error", reject);
    child.on("close", (code) => {
      if (code === 0 || failing) resolve({ out, err, code });
      else reject(new Error(`exit ${code}: ${(out + err).slice(-300)}`));
    });
  });
}
