/** The queue: one file after the other goes to the worker; the selected one first; nothing on the page waits. */

import type { EngineFacts, FromWorker, Scored, ToWorker } from "../types";
import type { PixelStore } from "./pixel_store";
import { type Answer, type Entry, type FileStatus, type State, selectedEntry, withEngine, withStatus, withUnreadable } from "./state";
import type { Store } from "./store";

/** What the scorer needs of a Worker. */
export interface WorkerLike {
  postMessage(message: ToWorker, transfer: Transferable[]): void;
  terminate(): void;
  onmessage: ((event: MessageEvent<FromWorker>) => void) | null;
  onerror: ((event: ErrorEvent) => void) | null;
}

export interface Scorer {
  /** Starts the worker, anew where there is one. */
  open(): void;
  /** Looks whether there is something to score; to be called after every change. */
  pump(): void;
}

export interface ScorerOptions {
  siteUrl: string;
  startWorker: () => WorkerLike;
  /** A file that takes longer is given up, and the worker with it: a decoder that hangs cannot be stopped otherwise. */
  limitMs: number;
}

/** As pocketcxr.imaging.radiograph.MAX_FILE_BYTES: no larger file can hold an image that is scored. */
const MAX_FILE_BYTES = 6 * 50_000_000 + 2 ** 24;

/** The file to be sent next: the selected one if it lacks scores or pixels, else the first that waits. */
export function nextToScore(state: State, hasPixels: (id: number) => boolean): Entry | null {
  const selected = selectedEntry(state);
  const lacks = (entry: Entry) =>
    entry.status.kind === "queued" || (entry.status.kind === "scored" && !entry.isLost && !hasPixels(entry.id));
  if (selected !== null && lacks(selected)) return selected;
  return state.entries.find((entry) => entry.status.kind === "queued") ?? null;
}

/** What is kept of an answer beside its pixels. */
export function answerOf(result: Scored): Answer {
  const { radiograph, ...rest } = result;
  const { height, width, format, bitsStored, facts } = radiograph;
  return { ...rest, height, width, format, bitsStored, viewPosition: facts.viewPosition };
}

export function createScorer(store: Store<State>, pictures: PixelStore, options: ScorerOptions): Scorer {
  let worker: WorkerLike | null = null;
  let facts: EngineFacts | null = null;
  /** The file at work; `token` tells a late answer from the awaited one. */
  let job: { id: number; token: number; timer: ReturnType<typeof setTimeout> | null } | null = null;
  let lastToken = 0;

  const settle = (change: (state: State) => State) => {
    if (job?.timer != null) clearTimeout(job.timer);
    job = null;
    store.update(change);
    pump();
  };

  const settleAs = (id: number, status: FileStatus) => settle((state) => withStatus(state, id, status));

  const giveUp = (code: "timed-out" | "decoder-crashed", why: string) => {
    const entry = store.get().entries.find((one) => one.id === job?.id);
    open();
    if (entry === undefined) job = null;
    else settleAs(entry.id, { kind: "refused", code, detail: `${entry.name}: ${why}` });
  };

  const hear = (message: FromWorker) => {
    switch (message.kind) {
      case "loading":
        store.update((state) => withEngine(state, message));
        break;
      case "failed":
        // Downloads under way would go on, and be reported.
        worker?.terminate();
        if (worker !== null) worker.onmessage = null;
        store.update((state) => withEngine(state, message));
        break;
      case "ready":
        facts = message.facts;
        store.update((state) => withEngine(state, message));
        pump();
        break;
      case "scored": {
        if (job === null || message.id !== job.token) break;
        const { radiograph } = message.result;
        if (store.get().entries.some((entry) => entry.id === job?.id)) pictures.put(job.id, radiograph);
        settleAs(job.id, { kind: "scored", answer: answerOf(message.result) });
        break;
      }
      case "refused":
        if (job === null || message.id !== job.token) break;
        settleAs(job.id, { kind: "refused", code: message.code, detail: message.detail });
        break;
    }
  };

  const broke = (detail: string) => {
    if (facts !== null && job !== null) giveUp("decoder-crashed", detail);
    else hear({ kind: "failed", reason: "other", detail });
  };

  function open(): void {
    worker?.terminate();
    facts = null;
    const started = options.startWorker();
    worker = started;
    store.update((state) => withEngine(state, { kind: "loading", loadedBytes: 0, totalBytes: null }));
    started.onmessage = (event) => hear(event.data);
    started.onerror = (event) => broke(event.message || "the worker could not be started");
    started.postMessage({ kind: "open", siteUrl: options.siteUrl, threads: null }, []);
  }

  async function send(entry: Entry, token: number): Promise<void> {
    const bytes = await entry.file.arrayBuffer();
    if (job === null || job.token !== token) return;
    const message: ToWorker = { kind: "score", id: token, name: entry.name, bytes, checksInput: entry.overridden === null };
    worker?.postMessage(message, [bytes]);
    const detail = `no answer within ${Math.round(options.limitMs / 1000)} seconds`;
    job.timer = setTimeout(() => giveUp("timed-out", detail), options.limitMs);
  }

  function pump(): void {
    if (facts === null || job !== null) return;
    const { selected } = store.get();
    // Counted as used, so that scoring the others does not push out what is on the screen.
    if (selected !== null) pictures.get(selected);
    const entry = nextToScore(store.get(), pictures.has);
    if (entry === null) return;
    const token = ++lastToken;
    job = { id: entry.id, token, timer: null };
    if (entry.file.size > MAX_FILE_BYTES) {
      settleAs(entry.id, { kind: "refused", code: "too-large", detail: `${entry.name}: ${entry.file.size} bytes` });
      return;
    }
    if (entry.status.kind === "queued") store.update((state) => withStatus(state, entry.id, { kind: "scoring" }));
    send(entry, token).catch(() => {
      if (job?.token === token) settle((state) => withUnreadable(state, entry.id));
    });
  }

  return { open, pump };
}
