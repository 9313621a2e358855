/** A bundle's folder on disk as if a server gave it, and onnxruntime-web's own files from node_modules. */
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";

import { type Engine, openEngine } from "../src/engine/engine";
import type { FetchFile } from "../src/engine/fetching";
import type { Site } from "../src/types";

/** Where a bundle in memory or on disk seems to be served. */
export const SITE = "http://site/";
const require = createRequire(import.meta.url);
const DIST = dirname(require.resolve("onnxruntime-web/wasm"));
const CODEC_PACKAGES = ["codec-libjpeg-turbo-8bit", "codec-charls", "codec-openjpeg"];

/** URLs of onnxruntime-web's own files; they are read from disk. */
export const RUNTIME_URLS = {
  mjsUrl: pathToFileURL(join(DIST, "ort-wasm-simd-threaded.mjs")).href,
  wasmUrl: pathToFileURL(join(DIST, "ort-wasm-simd-threaded.wasm")).href,
};

/** Files below http://site/ from `read`, those of file URLs from disk. */
export function fetchFrom(read: (name: string) => Promise<Uint8Array>): FetchFile {
  return async (url, onBytes) => {
    const bytes = url.startsWith(SITE) ? await read(decodeURI(url.slice(SITE.length))) : await readFile(new URL(url));
    onBytes(bytes.length, bytes.length);
    return new Uint8Array(bytes);
  };
}

/** The engine of the bundle in `folder`; `precision` of its builds is run. */
export async function openFolder(folder: string, precision: Site["precision"]): Promise<Engine> {
  const site: Site = { bundle: "bundle/", precision, madeBy: "a test" };
  const fetchFile = fetchFrom(async (name) =>
    name === "site.json" ? Buffer.from(JSON.stringify(site)) : readFile(join(folder, name.replace("bundle/", ""))),
  );
  return openEngine({ siteUrl: SITE, ...RUNTIME_URLS, threads: 1, fetchFile, onBytes: () => {} });
}

/** The bytes of a decoder's WebAssembly file, from the package that has it. */
export async function codecFile(name: string): Promise<ArrayBuffer> {
  for (const codec of CODEC_PACKAGES) {
    const folder = dirname(require.resolve(`@cornerstonejs/${codec}`));
    if (existsSync(join(folder, name))) return new Uint8Array(await readFile(join(folder, name))).buffer;
  }
  throw new Error(`no codec has a file ${name}`);
}
