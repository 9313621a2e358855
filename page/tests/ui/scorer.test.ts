/** The queue against a worker that the test plays: order, late answers, hangs, crashes, files that vanish. */

import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

import type { FromWorker, ToWorker } from "../../src/types";
import { createPixelStore } from "../../src/ui/pixel_store";
import { createScorer, type WorkerLike } from "../../src/ui/scorer";
import * as states from "../../src/ui/state";
import { createStore } from "../../src/ui/store";
import { MADE_CARD, madeScored, madeState } from "./made";

const LIMIT_MS = 1000;
const FACTS = { card: MADE_CARD, digest: "0", precision: "fp32", hasGate: true, threads: 1, loadMs: 1 };
type Score = Extract<ToWorker, { kind: "score" }>;

/** A worker in the test's hands. */
class PlayedWorker implements WorkerLike {
  readonly heard: ToWorker[] = [];
  isTerminated = false;
  onmessage: WorkerLike["onmessage"] = null;
  onerror: WorkerLike["onerror"] = null;
  postMessage(message: ToWorker): void {
    this.heard.push(message);
  }
  terminate(): void {
    this.isTerminated = true;
  }
  say(message: FromWorker): void {
    this.onmessage?.({ data: message } as MessageEvent<FromWorker>);
  }
  crash(): void {
    this.onerror?.({ message: "boom" } as ErrorEvent);
  }
  /** What it was asked to score. */
  get asked(): Score[] {
    return this.heard.filter((message): message is Score => message.kind === "score");
  }
}

function started(...names: string[]) {
  const store = createStore(madeState(...names));
  const pictures = createPixelStore();
  const workers: PlayedWorker[] = [];
  const startWorker = () => {
    const worker = new PlayedWorker();
    workers.push(worker);
    return worker;
  };
  const scorer = createScorer(store, pictures, { siteUrl: "site.json", startWorker, limitMs: LIMIT_MS });
  store.subscribe(() => scorer.pump());
  scorer.open();
  return { store, pictures, workers, scorer, kinds: () => store.get().entries.map((entry) => entry.status.kind) };
}

const settled = () => vi.advanceTimersByTimeAsync(0);

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

describe("the queue", () => {
  test("waits for the engine, then sends one file at a time until all are done", async () => {
    const { workers, kinds } = started("a", "b");
    await settled();
    expect(workers[0].asked).toEqual([]);
    workers[0].say({ kind: "ready", facts: FACTS });
    await settled();
    expect(workers[0].asked.map((message) => message.name)).toEqual(["a"]);
    workers[0].say({ kind: "scored", id: workers[0].asked[0].id, result: madeScored() });
    await settled();
    workers[0].say({ kind: "refused", id: workers[0].asked[1].id, code: "corrupt", detail: "b: cut short" });
    await settled();
    expect(kinds()).toEqual(["scored", "refused"]);
    expect(workers[0].asked.map((message) => message.checksInput)).toEqual([true, true]);
  });

  test("forgets the answer of a file that was removed meanwhile, and goes on", async () => {
    const { workers, store, pictures } = started("a", "b");
    workers[0].say({ kind: "ready", facts: FACTS });
    await settled();
    store.update((state) => states.withoutFile(state, 1));
    workers[0].say({ kind: "scored", id: workers[0].asked[0].id, result: madeScored() });
    await settled();
    expect(pictures.has(1)).toBe(false);
    expect(workers[0].asked.map((message) => message.name)).toEqual(["a", "b"]);
  });

  test("gives up a file that hangs, with a new worker for the rest", async () => {
    const { workers, kinds, store } = started("a", "b");
    workers[0].say({ kind: "ready", facts: FACTS });
    await vi.advanceTimersByTimeAsync(LIMIT_MS + 1);
    expect(workers[0].isTerminated).toBe(true);
    expect(store.get().entries[0].status).toMatchObject({ kind: "refused", code: "timed-out" });
    workers[1].say({ kind: "ready", facts: FACTS });
    await settled();
    workers[1].say({ kind: "scored", id: workers[1].asked[0].id, result: madeScored() });
    expect(kinds()).toEqual(["refused", "scored"]);
  });

  test("refuses the file that a decoder crashed on, and goes on", async () => {
    const { workers, store } = started("a", "b");
    workers[0].say({ kind: "ready", facts: FACTS });
    await settled();
    workers[0].crash();
    expect(store.get().entries[0].status).toMatchObject({ kind: "refused", code: "decoder-crashed" });
    expect(workers.length).toBe(2);
  });

  test("says so where the worker itself does not start, and tries again when asked to", () => {
    const { workers, store, scorer } = started("a");
    workers[0].crash();
    expect(store.get().engine).toMatchObject({ kind: "failed", reason: "other" });
    scorer.open();
    expect(store.get().engine.kind).toBe("loading");
    expect(workers.length).toBe(2);
  });

  test("stays failed, whatever is still being downloaded", () => {
    const { workers, store } = started("a");
    workers[0].say({ kind: "failed", reason: "damaged-bundle", detail: "model.onnx was changed" });
    workers[0].say({ kind: "loading", loadedBytes: 1, totalBytes: 2 });
    expect(store.get().engine).toMatchObject({ kind: "failed", reason: "damaged-bundle" });
    expect(workers[0].isTerminated).toBe(true);
  });

  test("marks a file that cannot be read, and goes on", async () => {
    const { workers, store, kinds } = started();
    workers[0].say({ kind: "ready", facts: FACTS });
    const gone = new Blob(["a"]);
    gone.arrayBuffer = () => Promise.reject(new Error("gone"));
    store.update((state) => states.withFiles(state, [{ name: "gone", file: gone }, { name: "b", file: new Blob(["b"]) }]));
    await settled();
    expect(kinds()).toEqual(["unreadable", "scoring"]);
  });

  test("refuses a file that is too large without reading it", async () => {
    const { workers, store, kinds } = started();
    workers[0].say({ kind: "ready", facts: FACTS });
    const huge = { size: 2 ** 40, arrayBuffer: () => Promise.reject(new Error("was read")) } as unknown as Blob;
    store.update((state) => states.withFiles(state, [{ name: "huge", file: huge }]));
    await settled();
    expect(kinds()).toEqual(["refused"]);
    expect(store.get().entries[0].status).toMatchObject({ code: "too-large" });
  });

  test("sends an overridden file without the check", async () => {
    const { workers, store } = started("a");
    workers[0].say({ kind: "ready", facts: FACTS });
    await settled();
    workers[0].say({ kind: "refused", id: workers[0].asked[0].id, code: "rotated", detail: "a: looks turned" });
    store.update((state) => states.withOverride(state, 1));
    await settled();
    expect(workers[0].asked[1].checksInput).toBe(false);
  });

  test("scores the selected file again when its pixels were dropped", async () => {
    const { workers, store, pictures } = started("a");
    workers[0].say({ kind: "ready", facts: FACTS });
    await settled();
    workers[0].say({ kind: "scored", id: workers[0].asked[0].id, result: madeScored() });
    await settled();
    expect(workers[0].asked.length).toBe(1);
    pictures.clear();
    store.update((state) => states.withSelected(state, 1));
    await settled();
    expect(workers[0].asked.length).toBe(2);
    expect(store.get().entries[0].status.kind).toBe("scored");
  });
});
