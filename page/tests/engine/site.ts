/** A site as a server gives it: its files by URL, its bundle's card made for them. */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";

import type { FetchFile } from "../../src/engine/fetching";
import { OpenFailure } from "../../src/engine/failure";
import { fetchFrom, SITE } from "../files";

export type Bytes = Uint8Array<ArrayBuffer>;

const GOLDENS = join(import.meta.dirname, "..", "..", "..", "tests", "golden", "page_engine");

export const encoded = (text: string): Bytes => new TextEncoder().encode(text);
export const digestOf = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

/** preprocess.onnx, or model.onnx: the first heatmap is the mean gray, the second its negative, the third zero. */
export function graphFile(name: "preprocess.onnx" | "model.onnx"): Bytes {
  return new Uint8Array(readFileSync(join(GOLDENS, name)));
}

/** A card of three findings that lists `files`, with keys of `change` in place of its own. */
export function cardOf(files: Record<string, Bytes>, change: Record<string, unknown> = {}): Bytes {
  const card = {
    schema_version: 2,
    findings: ["Effusion", "Nodule", "Mass"],
    unlearnt: ["Mass"],
    preprocess: { size: 64 },
    net: { heatmap_height: 2, heatmap_width: 2 },
    builds: { fp32: { file: "model.onnx", tolerance: 1e-4 } },
    sha256: Object.fromEntries(Object.entries(files).map(([name, bytes]) => [name, digestOf(bytes)])),
  };
  return encoded(JSON.stringify({ ...card, ...change }));
}

/** All files of a site with this bundle, by their URLs. */
export function siteOf(
  files: Record<string, Bytes>,
  change: Record<string, unknown> = {},
  precision = "fp32",
): Record<string, Bytes> {
  const card = cardOf(files, change);
  const bundle = { ...files, "card.json": card, "card.sha256": encoded(`${digestOf(card)}  card.json\n`) };
  return {
    [`${SITE}site.json`]: encoded(JSON.stringify({ bundle: "bundle/", precision, madeBy: "a test" })),
    ...Object.fromEntries(Object.entries(bundle).map(([name, bytes]) => [`${SITE}bundle/${name}`, bytes])),
  };
}

/** What is at a URL; elsewhere the server cannot be reached. */
export function fetchOf(files: Record<string, Bytes>): FetchFile {
  return fetchFrom(async (name) => files[SITE + name] ?? Promise.reject(new OpenFailure("unreachable", name)));
}
