/** onnxruntime-web: the WebAssembly build from the site's own files, on this thread and its helpers. */
import * as ort from "onnxruntime-web/wasm";

import { OpenFailure } from "./failure";

/** An input or output of a graph. */
export type Tensor = ort.Tensor;

/** A loaded ONNX graph. */
export type Graph = ort.InferenceSession;

/** Where the runtime comes from. */
export interface Runtime {
  /** URL of ort-wasm-simd-threaded.mjs. */
  mjsUrl: string;
  /** The bytes of ort-wasm-simd-threaded.wasm. */
  wasm: Uint8Array<ArrayBuffer>;
}

const MOST_THREADS = 4;
/** The smallest module with a 128-bit constant: it is valid where SIMD is known. */
const SIMD_MODULE = Uint8Array.of(
  ...[0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 22, 1, 20, 0, 253, 12],
  ...[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 11],
);

/** Nothing, where this browser can run the engine. Throws OpenFailure("no-wasm"). */
export function checkBrowser(): void {
  const isThere = typeof WebAssembly === "object" && WebAssembly.validate(SIMD_MODULE);
  if (!isThere) throw new OpenFailure("no-wasm", "this browser has no WebAssembly with SIMD; update it, or allow it");
}

/** How many threads the engine takes: `chosen`, or up to four; one where the page may not share memory. */
export function numThreads(chosen: number | null): number {
  if (!globalThis.crossOriginIsolated) return 1;
  return Math.max(1, chosen ?? Math.min(navigator.hardwareConcurrency, MOST_THREADS));
}

/** Sets the runtime up; of several calls in one thread the first one counts. */
export function setUp(runtime: Runtime, threads: number): void {
  ort.env.wasm.wasmPaths = { mjs: runtime.mjsUrl };
  ort.env.wasm.wasmBinary = runtime.wasm;
  ort.env.wasm.numThreads = threads;
  ort.env.wasm.proxy = false;
  ort.env.logLevel = "error";
}

/** The graph in the bytes of an ONNX file, with these inputs and outputs. Throws what onnxruntime-web throws. */
export async function loadGraph(model: Uint8Array<ArrayBuffer>): Promise<Graph> {
  return ort.InferenceSession.create(model, { executionProviders: ["wasm"], logSeverityLevel: 3 });
}

/** A float32 output of a graph as an array of its own. */
export function floats(tensor: Tensor): Float32Array<ArrayBuffer> {
  if (!(tensor.data instanceof Float32Array)) throw new TypeError(`the graph answers ${tensor.type}, not float32`);
  return tensor.data as Float32Array<ArrayBuffer>;
}

/** Gray pixels as an input [height, width]. */
export function grayTensor(pixels: Uint8Array, height: number, width: number): Tensor {
  return new ort.Tensor("uint8", pixels, [height, width]);
}

/** Values as an input of the given shape. */
export function floatTensor(values: Float32Array, shape: number[]): Tensor {
  return new ort.Tensor("float32", values, shape);
}
