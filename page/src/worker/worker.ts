/** The page's worker: decodes and scores X-rays away from the thread that draws. */
import { decode } from "../decode/decode";
import { openEngine } from "../engine/engine";
import { fetchFile } from "../engine/fetching";
import { numThreads } from "../engine/session";
import type { FromWorker, ToWorker } from "../types";
import { makeLoop } from "./loop";

const scope = self as unknown as DedicatedWorkerGlobalScope;
/** A file beside this worker, which is beside index.html. */
const beside = (name: string): string => new URL(name, scope.location.href).href;
const post = (message: FromWorker, transfer: Transferable[]): void => scope.postMessage(message, transfer);

const answer = makeLoop({
  open: ({ siteUrl, threads }) =>
    openEngine({
      siteUrl: beside(siteUrl),
      mjsUrl: beside("ort-wasm-simd-threaded.mjs"),
      wasmUrl: beside("ort-wasm-simd-threaded.wasm"),
      threads: numThreads(threads),
      fetchFile,
      onBytes: (loadedBytes, totalBytes) => post({ kind: "loading", loadedBytes, totalBytes }, []),
    }),
  decode,
  post,
});

scope.onmessage = (event: MessageEvent<ToWorker>): void => void answer(event.data);
