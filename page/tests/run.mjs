/** Runs a TypeScript program of this folder in node: node tests/run.mjs tests/score_files.ts ARGUMENTS */
import { mkdtemp, mkdir, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

import { build } from "esbuild";

const page = dirname(dirname(fileURLToPath(import.meta.url)));
const [program] = process.argv.splice(1, 2).slice(1);
const cache = join(page, "node_modules", ".cache");
await mkdir(cache, { recursive: true });
// Within the project, so that the packages left out of the file are found beside it.
const folder = await mkdtemp(join(cache, "run-"));
try {
  const outfile = join(folder, "program.mjs");
  const options = { bundle: true, packages: "external", platform: "node", format: "esm", target: "node20" };
  await build({ ...options, entryPoints: [program], outfile, logLevel: "warning" });
  process.argv.splice(1, 0, program);
  await import(pathToFileURL(outfile).href);
} finally {
  await rm(folder, { recursive: true });
}
