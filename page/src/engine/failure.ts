/** Why the page cannot work at all; the reasons of FromWorker's "failed". */
import type { FromWorker } from "../types";

export type FailureReason = Extract<FromWorker, { kind: "failed" }>["reason"];

/** Thrown while the engine is opened. `detail` says in English what was met, where, and what to do. */
export class OpenFailure extends Error {
  constructor(
    readonly reason: FailureReason,
    readonly detail: string,
  ) {
    super(`${reason}: ${detail}`);
  }
}
