import { beforeEach, expect, test } from "vitest";

import { type Engine, openEngine, score, warmUp } from "../../src/engine/engine";
import { OpenFailure } from "../../src/engine/failure";
import { GATE } from "../../src/engine/gate";
import { numThreads } from "../../src/engine/session";
import { type Radiograph, Refused } from "../../src/types";
import { RUNTIME_URLS, SITE } from "../files";
import { NOTHING_KNOWN, packagedGate } from "./drawing";
import { type Bytes, encoded, fetchOf, graphFile, siteOf } from "./site";

const GRAPHS = { "preprocess.onnx": graphFile("preprocess.onnx"), "model.onnx": graphFile("model.onnx") };
const NO_GRAPH = encoded("no graph");

let loaded: [number, number | null][];

beforeEach(() => {
  loaded = [];
});

function opened(files: Record<string, Bytes>): Promise<Engine> {
  const onBytes = (bytes: number, total: number | null): void => void loaded.push([bytes, total]);
  return openEngine({ siteUrl: SITE, ...RUNTIME_URLS, threads: 1, fetchFile: fetchOf(files), onBytes });
}

async function reasonOf(files: Record<string, Bytes>): Promise<string> {
  return opened(files).then(
    () => "none",
    (error: unknown) => {
      if (error instanceof OpenFailure) return error.reason;
      throw error;
    },
  );
}

function radiographOf(height: number, width: number, level: number): Radiograph {
  const pixels = new Uint8Array(height * width).fill(level);
  return { pixels, height, width, format: "png", bitsStored: 8, facts: NOTHING_KNOWN };
}

test("an image is scored by the bundle's two graphs, and a finding never learnt has no score", async () => {
  const engine = await opened(siteOf(GRAPHS));
  expect(engine.facts).toMatchObject({ precision: "fp32", hasGate: false, threads: 1 });
  await warmUp(engine);
  const { scores, heatmaps, gridHeight, gridWidth, warnings } = await score(engine, radiographOf(70, 70, 255), true);
  const [effusion, nodule, mass] = scores;
  expect(effusion.logit).toBeGreaterThan(0);
  expect(nodule.logit).toBeCloseTo(-(effusion.logit ?? 0), 6);
  expect((effusion.probability ?? 0) + (nodule.probability ?? 0)).toBeCloseTo(1, 6);
  expect(mass).toMatchObject({ logit: null, probability: null, decisions: [] });
  expect([gridHeight, gridWidth, heatmaps.length, warnings]).toEqual([2, 2, 12, []]);
  expect(heatmaps.slice(0, 4).every((cell) => Math.abs(cell - (effusion.logit ?? 0)) < 1e-6)).toBe(true);
});

test("a wide image lies in the middle of its square", async () => {
  const engine = await opened(siteOf(GRAPHS));
  const { heatmaps } = await score(engine, radiographOf(64, 128, 255), true);
  const [upperLeft, upperRight, lowerLeft, lowerRight] = heatmaps;
  expect(new Set([upperLeft, upperRight, lowerLeft, lowerRight].map((cell) => cell.toFixed(4))).size).toBe(1);
  const { heatmaps: whole } = await score(engine, radiographOf(64, 64, 255), true);
  expect(upperLeft).toBeLessThan(whole[0]);
});

test("a bundle's gate is asked, unless it is not to be", async () => {
  const engine = await opened(siteOf({ ...GRAPHS, [GATE]: packagedGate() }));
  expect(engine.facts.hasGate).toBe(true);
  await expect(score(engine, radiographOf(100, 100, 90), true)).rejects.toThrow(Refused);
  expect((await score(engine, radiographOf(100, 100, 90), false)).scores).toHaveLength(3);
});

test("a build that cannot be run here gives way to the float32 one, and that is told", async () => {
  const fp16 = { file: "model.fp16.onnx", tolerance: 1 };
  const builds = { fp32: { file: "model.onnx", tolerance: 1 }, fp16, int8: null, shipped: "fp16" };
  const files = siteOf({ ...GRAPHS, "model.fp16.onnx": NO_GRAPH }, { builds }, "fp16");
  expect((await opened(files)).facts.precision).toBe("fp32, because this browser cannot run fp16");
  const alone = siteOf({ ...GRAPHS, "model.fp16.onnx": NO_GRAPH }, { builds: { ...builds, fp32: null } }, "fp16");
  expect(await reasonOf(alone)).toBe("other");
  const runnable = siteOf({ ...GRAPHS, "model.fp16.onnx": GRAPHS["model.onnx"] }, { builds }, "fp16");
  expect((await opened(runnable)).facts.precision).toBe("fp16");
});

test("what cannot be opened says why", async () => {
  expect(await reasonOf({})).toBe("unreachable");
  expect(await reasonOf(siteOf(GRAPHS, {}, "int8"))).toBe("damaged-bundle");
  expect(await reasonOf(siteOf({ ...GRAPHS, "model.onnx": NO_GRAPH }))).toBe("other");
  expect(await reasonOf(siteOf({ ...GRAPHS, "model.onnx": GRAPHS["preprocess.onnx"] }))).toBe("damaged-bundle");
  expect(await reasonOf(siteOf(GRAPHS, { schema_version: 3 }))).toBe("newer-bundle");
});

test("bytes are told as they come, those of the runtime and of the bundle together", async () => {
  await opened(siteOf(GRAPHS));
  const [bytes, total] = loaded[loaded.length - 1];
  expect(bytes).toBe(total);
  expect(bytes).toBeGreaterThan(GRAPHS["model.onnx"].length + 10_000_000);
  expect(loaded.map(([one]) => one)).toEqual(loaded.map(([one]) => one).sort((one, other) => one - other));
});

test("without shared memory there is one thread, whatever was chosen", () => {
  expect([numThreads(null), numThreads(4)]).toEqual([1, 1]);
  const navigator = globalThis.navigator ?? { hardwareConcurrency: 16 };
  Object.assign(globalThis, { crossOriginIsolated: true, navigator });
  expect(numThreads(3)).toBe(3);
  expect(numThreads(null)).toBeLessThanOrEqual(4);
  Object.assign(globalThis, { crossOriginIsolated: false });
});
