/** The pictures of tests/golden/page_engine/make_goldens.py, drawn here, and that file's answers. */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";

import type { Gray } from "../../src/engine/resample";
import type { SourceFacts } from "../../src/types";

interface Told {
  height: number;
  width: number;
  sha256: string;
}

interface Drawing {
  height: number;
  width: number;
  seed: number;
  border: number;
  grid: number;
}

interface PictureGolden {
  drawing: Drawing;
  sha256: string;
  thumbnails: (Told & { side: number })[];
  look: Told;
  gray_scale: { spread: number; black_share: number; white_share: number };
  /** Every seventh value in thousandths, little-endian int16 in base64. */
  net_input: string;
  grid_peak: number;
}

interface HeaderGolden {
  modality?: string;
  sop_class?: string;
  body_part?: string;
  view_position: SourceFacts["viewPosition"];
  age_years?: number;
  code: string | null;
}

export interface Goldens {
  pictures: PictureGolden[];
  resizes: { height: number; width: number; resized: Told }[];
  headers: HeaderGolden[];
}

/** Of a file without a header. */
export const NOTHING_KNOWN: SourceFacts = {
  modality: null,
  sopClass: null,
  bodyPart: null,
  viewPosition: "UNKNOWN",
  ageYears: null,
  colouredShare: null,
};

const REPOSITORY = join(import.meta.dirname, "..", "..", "..");

export const GOLDENS = JSON.parse(
  readFileSync(join(REPOSITORY, "tests", "golden", "page_engine", "goldens.json"), "utf-8"),
) as Goldens;

/** The bytes of the gate that comes with the program. */
export function packagedGate(): Uint8Array<ArrayBuffer> {
  return new Uint8Array(readFileSync(join(REPOSITORY, "src", "pocketcxr", "runtime", "input-gate.onnx")));
}

/** The picture as Python draws it. */
export function draw({ height, width, seed, border, grid }: Drawing): Gray {
  const pixels = new Uint8Array(height * width);
  let state = seed;
  for (let row = 0; row < height; row++) {
    for (let column = 0; column < width; column++) {
      state = (Math.imul(1664525, state) + 1013904223) >>> 0;
      const isInside = row >= border && row < height - border && column >= border && column < width - border;
      const waves = Math.floor((triangle(row * 5 + column) + triangle(column * 3 + 40)) / 3);
      const slanting = (3 * row + 2 * column) % 8 < 4 ? grid : 0;
      const level = Math.min(waves + Math.floor((state >>> 24) / 8) + slanting, 255);
      if (isInside) pixels[row * width + column] = level;
    }
  }
  return { pixels, height, width };
}

/** A picture as the goldens tell it. */
export function told({ pixels, height, width }: Gray): Told {
  return { height, width, sha256: createHash("sha256").update(pixels).digest("hex") };
}

function triangle(value: number): number {
  return Math.min(Math.abs((value % 512) - 256), 255);
}
