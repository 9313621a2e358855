/** A bundle's golden vectors against this engine, as pocketcxr.runtime.golden does it in Python. */
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";

import type { Engine } from "../src/engine/engine";
import { prepare, run } from "../src/engine/predict";
import { floats, floatTensor } from "../src/engine/session";
import { readNpy } from "./npy";

/** Of one golden case: pixels in gray levels, answers relative to max(1, largest golden value). */
export interface Deviation {
  name: string;
  pixels: number;
  logits: number;
  heatmaps: number;
}

/** How far this engine's answers are from the golden ones, case by case. */
export async function goldenDeviations(engine: Engine, folder: string): Promise<Deviation[]> {
  const ending = ".image.npy";
  const files = await readdir(join(folder, "golden"));
  const names = files.filter((file) => file.endsWith(ending)).map((file) => file.slice(0, -ending.length)).sort();
  const deviations: Deviation[] = [];
  for (const name of names) deviations.push(await deviation(engine, join(folder, "golden"), name));
  return deviations;
}

async function deviation(engine: Engine, folder: string, name: string): Promise<Deviation> {
  const read = async (part: string) => readNpy(await readFile(join(folder, `${name}.${part}.npy`)));
  const [image, pixels] = [await read("image"), await read("pixels")];
  const { mean, std, size } = engine.facts.card.preprocess as { mean: number; std: number; size: number };
  const [height, width] = image.shape;
  const input = await prepare(engine.graphs, { pixels: image.values as Uint8Array, height, width });
  const gray = floats(input).map((value) => (value * std + mean) * 255);
  const normalised = Float32Array.from(pixels.values, (level) => (level / 255 - mean) / std);
  const answers = await run(engine.graphs, engine.facts.card, floatTensor(normalised, [1, 1, size, size]));
  return {
    name,
    pixels: largest(gray, pixels.values),
    logits: relative(answers.logits, (await read("logits")).values),
    heatmaps: relative(answers.heatmaps, (await read("heatmaps")).values),
  };
}

function relative(actual: ArrayLike<number>, golden: ArrayLike<number>): number {
  return largest(actual, golden) / Math.max(1, ...Array.from(golden, Math.abs));
}

function largest(actual: ArrayLike<number>, golden: ArrayLike<number>): number {
  return Math.max(...Array.from(golden, (value, place) => Math.abs(actual[place] - value)));
}
