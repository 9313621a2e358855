/** The worker's message loop: one request after the other, and no error ends it. */
import { type Answer, type Engine, score, warmUp } from "../engine/engine";
import { OpenFailure } from "../engine/failure";
import { type FromWorker, type Radiograph, type RefusalCode, Refused, type ToWorker } from "../types";

type Open = Extract<ToWorker, { kind: "open" }>;
type Score = Extract<ToWorker, { kind: "score" }>;

/** What the loop works with. */
export interface Parts {
  open(request: Open): Promise<Engine>;
  decode(bytes: Uint8Array): Promise<Radiograph>;
  post(message: FromWorker, transfer: Transferable[]): void;
}

/** A handler of messages; what it returns is done when that message and all before it are answered. */
export function makeLoop(parts: Parts): (request: ToWorker) => Promise<void> {
  let engine: Engine | null = null;
  let last = Promise.resolve();
  const answer = async (request: ToWorker): Promise<void> => {
    if (request.kind === "open") engine = await openedFor(parts, request);
    else await scoredFor(parts, engine, request);
  };
  return (request) => {
    last = last.then(() => answer(request));
    return last;
  };
}

async function openedFor(parts: Parts, request: Open): Promise<Engine | null> {
  try {
    const engine = await parts.open(request);
    parts.post({ kind: "ready", facts: engine.facts }, []);
    // Whatever fails here fails again, and is told, with the first image.
    await warmUp(engine).catch(() => undefined);
    return engine;
  } catch (error) {
    const failure = error instanceof OpenFailure ? error : new OpenFailure("other", String(error));
    parts.post({ kind: "failed", reason: failure.reason, detail: failure.detail }, []);
    return null;
  }
}

async function scoredFor(parts: Parts, engine: Engine | null, request: Score): Promise<void> {
  const { id, name } = request;
  try {
    if (engine === null) throw new Error("the engine is not open");
    const start = performance.now();
    const radiograph = await parts.decode(new Uint8Array(request.bytes));
    const decodeMs = performance.now() - start;
    const answer = owned(await score(engine, radiograph, request.checksInput));
    const result = { ...answer, timings: { decodeMs, ...answer.timings } };
    const buffers = [answer.radiograph.pixels.buffer, answer.heatmaps.buffer] as ArrayBuffer[];
    parts.post({ kind: "scored", id, result }, buffers);
  } catch (error) {
    const { code, detail } = refusalOf(error);
    parts.post({ kind: "refused", id, code, detail: `${name}: ${detail}` }, []);
  }
}

/** The answer with pixels that nothing else holds: a decoder's own memory cannot be handed over. */
function owned(answer: Answer): Answer {
  const { pixels } = answer.radiograph;
  const isWhole = pixels.buffer instanceof ArrayBuffer && pixels.byteLength === pixels.buffer.byteLength;
  return isWhole ? answer : { ...answer, radiograph: { ...answer.radiograph, pixels: pixels.slice() } };
}

/** What an error of decoding or scoring says of the file. */
function refusalOf(error: unknown): { code: RefusalCode; detail: string } {
  if (error instanceof Refused) return error;
  const detail = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  return { code: isOutOfMemory(error, detail) ? "too-much-memory" : "decoder-crashed", detail };
}

/** Engines say it as a RangeError of an array, a failed growth of WebAssembly's memory, or C++'s own exception. */
function isOutOfMemory(error: unknown, detail: string): boolean {
  return error instanceof RangeError || /bad_alloc|out of memory|\bOOM\b|allocat|array buffer/i.test(detail);
}
