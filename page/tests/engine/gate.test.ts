import { readFile } from "node:fs/promises";

import { beforeAll, expect, test } from "vitest";

import { OpenFailure } from "../../src/engine/failure";
import { checkInput, type Gate, kindOf, openGate } from "../../src/engine/gate";
import { checkHeader } from "../../src/engine/gate_header";
import { customMetadata } from "../../src/engine/metadata";
import type { Gray } from "../../src/engine/resample";
import { setUp } from "../../src/engine/session";
import { type Radiograph, Refused, type SourceFacts } from "../../src/types";
import { RUNTIME_URLS } from "../files";
import { draw, GOLDENS, NOTHING_KNOWN, packagedGate } from "./drawing";

let gate: Gate;

beforeAll(async () => {
  setUp({ mjsUrl: RUNTIME_URLS.mjsUrl, wasm: new Uint8Array(await readFile(new URL(RUNTIME_URLS.wasmUrl))) }, 1);
  gate = await openGate(packagedGate());
});

function radiographOf(picture: Gray, facts: Partial<SourceFacts> = {}): Radiograph {
  return { ...picture, format: "png", bitsStored: 8, facts: { ...NOTHING_KNOWN, ...facts } };
}

async function codeOf(picture: Gray, facts: Partial<SourceFacts> = {}): Promise<string | null> {
  return checkInput(gate, radiographOf(picture, facts)).then(
    () => null,
    (error: unknown) => {
      if (error instanceof Refused) return error.code;
      throw error;
    },
  );
}

function flat(level: number, height = 100, width = 100): Gray {
  return { pixels: new Uint8Array(height * width).fill(level), height, width };
}

test("headers are refused as in Python", () => {
  const found = GOLDENS.headers.map((header) => {
    const { modality = null, sop_class: sopClass = null, body_part: bodyPart = null } = header;
    const { view_position: viewPosition, age_years: ageYears = null } = header;
    try {
      checkHeader({ ...NOTHING_KNOWN, modality, sopClass, bodyPart, ageYears, viewPosition });
      return { ...header, code: null };
    } catch (error) {
      return { ...header, code: (error as Refused).code };
    }
  });
  expect(found).toEqual(GOLDENS.headers);
  expect(new Set(found.map((header) => header.code)).size).toBe(6);
});

test("its limits are read from the file itself", () => {
  expect(JSON.parse(customMetadata(packagedGate()).get("input_gate") ?? "")).toMatchObject(gate.limits);
});

test("what the header says comes first, then colours, size, exposure, and what is shown", async () => {
  const tiny = draw({ height: 20, width: 20, seed: 1, border: 0, grid: 0 });
  expect(await codeOf(tiny, { ageYears: 7, colouredShare: 0.9 })).toBe("child");
  expect(await codeOf(tiny, { colouredShare: 0.9 })).toBe("not-a-chest-radiograph");
  expect(await codeOf(tiny, { colouredShare: 0.2 })).toBe("too-small");
  expect(await codeOf(flat(90))).toBe("blank");
  const white = flat(255);
  white.pixels.fill(40, 0, 500);
  expect(await codeOf(white)).toBe("over-exposed");
});

test("tiles are no chest, however large they are", async () => {
  const tiles = (size: number): Gray => {
    const side = 8 * size;
    const pixels = Uint8Array.from({ length: side * side }, (_, place) => {
      const [row, column] = [Math.floor(place / side / size), Math.floor((place % side) / size)];
      return (row + column) % 2 === 1 ? 255 : 0;
    });
    return { pixels, height: side, width: side };
  };
  for (const size of [16, 128]) {
    expect(["not-a-chest-radiograph", "heavily-cropped"]).toContain(await codeOf(tiles(size)));
  }
});

test("frontal wins from its least probability on", () => {
  const limits = { ...gate.limits, least_frontal: 0.1 };
  const logits = (frontal: number) => Float32Array.from([frontal, 0.2, 0.3, 0.15, 0.15, 0.1].map(Math.log));
  expect(kindOf(limits, logits(0.11))).toBe("frontal");
  expect(kindOf(limits, logits(0.09))).toBe("inverted");
});

test("a file that is no gate, or of a newer version, is told", async () => {
  await expect(openGate(new Uint8Array(0))).rejects.toThrow(OpenFailure);
  const newer = packagedGate();
  const place = Buffer.from(newer).indexOf('"version":1');
  newer[place + '"version":'.length] = "2".charCodeAt(0);
  await expect(openGate(newer)).rejects.toThrow(/newer version/);
});

test("a message cut off anywhere ends in an error or in fewer entries, never in a wait", () => {
  const whole = packagedGate();
  for (let length = 0; length < 400; length++) {
    let entries = new Map<string, string>();
    try {
      entries = customMetadata(whole.subarray(0, length));
    } catch (error) {
      expect(error).toBeInstanceOf(RangeError);
    }
    expect(entries.size).toBe(0);
  }
});
