/**
 * The page's engine on files, as `pocketcxr predict --json` is Python's:
 *
 *   node tests/run.mjs tests/score_files.ts BUNDLE_FOLDER < list.json > answers.json
 *
 * list.json: {"files": [path, ...], "checksInput": true, "verifies": false, "precision": "fp32" (absent: as shipped)}.
 * A .npy file is taken as decoded gray pixels, every other one goes through the page's own decoders.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { json } from "node:stream/consumers";

import { setCodecFiles } from "../src/decode/codecs";
import { decode } from "../src/decode/decode";
import { type Engine, score } from "../src/engine/engine";
import { type Radiograph, Refused, type Site } from "../src/types";
import { codecFile, openFolder } from "./files";
import { goldenDeviations } from "./golden";
import { readNpy } from "./npy";

interface Request {
  files: string[];
  checksInput: boolean;
  verifies?: boolean;
  precision?: Site["precision"];
}

/** What standard output holds for one file. */
async function answerTo(engine: Engine, path: string, checksInput: boolean): Promise<object> {
  const start = performance.now();
  try {
    const radiograph = await decoded(path);
    const decodeMs = performance.now() - start;
    const { scores, warnings, timings, heatmaps, gridHeight, gridWidth } = await score(engine, radiograph, checksInput);
    const { height, width } = radiograph;
    const places = { shape: [scores.length, gridHeight, gridWidth], values: Array.from(heatmaps) };
    return { path, height, width, scores, warnings, heatmaps: places, timings: { decodeMs, ...timings } };
  } catch (error) {
    if (error instanceof Refused) return { path, code: error.code, detail: error.detail };
    throw error;
  }
}

async function decoded(path: string): Promise<Radiograph> {
  const bytes = new Uint8Array(await readFile(path));
  if (!path.endsWith(".npy")) {
    return decode(bytes);
  }
  const { shape, values } = readNpy(bytes);
  const unknown = { modality: null, sopClass: null, bodyPart: null, ageYears: null, colouredShare: null };
  const facts = { ...unknown, viewPosition: "UNKNOWN" as const };
  return { pixels: values as Uint8Array, height: shape[0], width: shape[1], format: "png", bitsStored: 8, facts };
}

async function shipped(folder: string): Promise<Site["precision"]> {
  const text = await readFile(join(folder, "card.json"), "utf-8");
  const card = JSON.parse(text) as { builds: { shipped?: Site["precision"] } };
  return card.builds.shipped ?? "fp32";
}

setCodecFiles(codecFile);
const [folder] = process.argv.slice(2);
const request = (await json(process.stdin)) as Request;
const engine = await openFolder(folder, request.precision ?? (await shipped(folder)));
const golden = request.verifies ? await goldenDeviations(engine, folder) : null;
const answers: object[] = [];
for (const path of request.files) answers.push(await answerTo(engine, path, request.checksInput));
const { card: _, ...facts } = engine.facts;
process.stdout.write(`${JSON.stringify({ facts, golden, answers })}\n`);
