import { beforeEach, expect, test } from "vitest";

import { makeLoop, type Parts } from "../../src/worker/loop";
import type { Engine } from "../../src/engine/engine";
import { OpenFailure } from "../../src/engine/failure";
import { floatTensor, type Graph } from "../../src/engine/session";
import { type FromWorker, type Radiograph, Refused, type ToWorker } from "../../src/types";
import { NOTHING_KNOWN } from "./drawing";

const OPEN: ToWorker = { kind: "open", siteUrl: "site.json", threads: null };

let posted: FromWorker[];
let transferred: Transferable[][];

beforeEach(() => {
  [posted, transferred] = [[], []];
});

function graphOf(answers: Record<string, Float32Array>): Graph {
  const tensors = Object.entries(answers).map(([name, one]) => [name, floatTensor(one, [one.length])]);
  const run = async () => Object.fromEntries(tensors);
  return { run } as unknown as Graph;
}

/** An engine of one finding whose graphs always say the same. */
function engineOf(model: Graph = graphOf({ logits: Float32Array.of(2), heatmaps: Float32Array.of(2) })): Engine {
  const net = { heatmap_height: 1, heatmap_width: 1 };
  const scored = { findings: ["Mass"], unlearnt: [], calibration: null, operating_points: [] };
  const card = { preprocess: { size: 2 }, net, ...scored };
  const graphs = { preprocess: graphOf({ images: Float32Array.of(0) }), model };
  return { facts: { card }, graphs, gate: null } as unknown as Engine;
}

function radiographOf(pixels: Uint8Array): Radiograph {
  return { pixels, height: 2, width: 2, format: "png", bitsStored: 8, facts: NOTHING_KNOWN };
}

function loopOf(parts: Partial<Parts>): (request: ToWorker) => Promise<void> {
  return makeLoop({
    open: async () => engineOf(),
    decode: async () => radiographOf(new Uint8Array(4)),
    post: (message, transfer) => {
      posted.push(message);
      transferred.push(transfer);
    },
    ...parts,
  });
}

function scoreOf(id: number): ToWorker {
  return { kind: "score", id, name: `${id}.png`, bytes: new ArrayBuffer(1), checksInput: true };
}

test("requests are answered one after another, in their order, however long each takes", async () => {
  let running = 0;
  const decode = async (): Promise<Radiograph> => {
    running += 1;
    expect(running).toBe(1);
    await new Promise((resolve) => setTimeout(resolve, posted.length === 1 ? 20 : 0));
    running -= 1;
    return radiographOf(new Uint8Array(4));
  };
  const answer = loopOf({ decode });
  await Promise.all([answer(OPEN), answer(scoreOf(1)), answer(scoreOf(2)), answer(scoreOf(3))]);
  expect(posted.map((message) => ("id" in message ? message.id : message.kind))).toEqual(["ready", 1, 2, 3]);
  const result = { scores: [{ finding: "Mass", logit: 2 }], gridHeight: 1 };
  expect(posted[1]).toMatchObject({ kind: "scored", result });
});

test("no error ends the loop, and each says what it is", async () => {
  const errors: [unknown, string][] = [
    [new Refused("corrupt", "cut off"), "corrupt"],
    [new TypeError("undefined is no function"), "decoder-crashed"],
    ["a text", "decoder-crashed"],
    [new RangeError("Invalid typed array length: 99999999999"), "too-much-memory"],
    [new Error("std::bad_alloc"), "too-much-memory"],
  ];
  let next = 0;
  const decode = async (): Promise<Radiograph> => {
    if (next < errors.length) throw errors[next++][0];
    return radiographOf(new Uint8Array(4));
  };
  const answer = loopOf({ decode });
  await answer(OPEN);
  for (let id = 0; id <= errors.length; id++) await answer(scoreOf(id));
  expect(posted.slice(1).map((message) => ("code" in message ? message.code : message.kind))).toEqual([
    ...errors.map(([, code]) => code),
    "scored",
  ]);
  expect(posted[1]).toEqual({ kind: "refused", id: 0, code: "corrupt", detail: "0.png: cut off" });
});

test("a model that fails refuses the image, not the ones after it", async () => {
  let calls = 0;
  const run = async () => {
    calls += 1;
    // The first call warms up, the second one is the first image.
    if (calls <= 2) throw new Error("failed to allocate a buffer of size 400000000");
    return { logits: floatTensor(Float32Array.of(1), [1]), heatmaps: floatTensor(Float32Array.of(1), [1]) };
  };
  const answer = loopOf({ open: async () => engineOf({ run } as unknown as Graph) });
  await Promise.all([answer(OPEN), answer(scoreOf(1)), answer(scoreOf(2))]);
  expect(posted.slice(1)).toMatchObject([{ kind: "refused", code: "too-much-memory" }, { kind: "scored", id: 2 }]);
});

test("what cannot be opened is told with its reason, and can be tried again", async () => {
  const errors = [new OpenFailure("unreachable", "no line"), new Error("odd")];
  const open = async (): Promise<Engine> => {
    const error = errors.shift();
    if (error !== undefined) throw error;
    return engineOf();
  };
  const answer = loopOf({ open });
  await Promise.all([answer(OPEN), answer(scoreOf(1)), answer(OPEN), answer(OPEN), answer(scoreOf(2))]);
  expect(posted).toMatchObject([
    { kind: "failed", reason: "unreachable", detail: "no line" },
    { kind: "refused", id: 1 },
    { kind: "failed", reason: "other" },
    { kind: "ready" },
    { kind: "scored", id: 2 },
  ]);
});

test("buffers are handed over, those of a decoder's own memory as a copy", async () => {
  const memory = new Uint8Array(100).fill(7);
  const answer = loopOf({ decode: async () => radiographOf(memory.subarray(10, 14)) });
  await answer(OPEN);
  await answer(scoreOf(1));
  const [message] = posted.slice(1);
  if (message.kind !== "scored") throw new Error(message.kind);
  const { radiograph, heatmaps } = message.result;
  expect(transferred[1]).toEqual([radiograph.pixels.buffer, heatmaps.buffer]);
  expect(radiograph.pixels.buffer.byteLength).toBe(4);
  expect([...radiograph.pixels]).toEqual([7, 7, 7, 7]);
});
