/** card.json: the bytes of one as the page reads it, older ones in the words of today's schema. */
import type { Card } from "../types";
import { OpenFailure } from "./failure";

export const SCHEMA_VERSION = 2;

/** The card in `bytes`. Throws OpenFailure: newer-bundle, or damaged-bundle where it is none. */
export function readCard(bytes: Uint8Array, where: string): Card {
  const raw = parsed(bytes, where);
  const version = raw.schema_version;
  if (typeof version !== "number" || !Number.isInteger(version) || version < 1) {
    throw new OpenFailure("damaged-bundle", `${where} is not a bundle's card; export the run again`);
  }
  if (version > SCHEMA_VERSION) {
    const what = `${where} is of schema version ${version}, this page reads up to ${SCHEMA_VERSION}`;
    throw new OpenFailure("newer-bundle", `${what}; update pocketcxr and serve the page again`);
  }
  const missing = missingKey(raw);
  if (missing !== null) {
    throw new OpenFailure("damaged-bundle", `${where} has no proper ${missing}; export the run again`);
  }
  // Version 1 had no calibration, no operating points, and one build.
  const builds = { fp32: null, fp16: null, int8: null, shipped: "fp32", ...(raw.builds as object) };
  return { unlearnt: [], calibration: null, operating_points: [], ...raw, builds } as unknown as Card;
}

function parsed(bytes: Uint8Array, where: string): Record<string, unknown> {
  try {
    const raw: unknown = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
    if (isObject(raw)) return raw;
  } catch (error) {
    throw new OpenFailure("damaged-bundle", `${where} cannot be read (${String(error)}); copy the bundle again`);
  }
  throw new OpenFailure("damaged-bundle", `${where} is not a bundle's card; export the run again`);
}

/** What nothing works without, where it is missing or of another kind; null where all is there. */
function missingKey(raw: Record<string, unknown>): string | null {
  const { findings, builds, preprocess, net, sha256 } = raw;
  if (!Array.isArray(findings) || findings.length === 0 || !findings.every(isText)) return "findings";
  if (!isObject(builds)) return "builds";
  if (!isObject(preprocess) || typeof preprocess.size !== "number") return "preprocess";
  if (!isObject(net) || typeof net.heatmap_height !== "number" || typeof net.heatmap_width !== "number") return "net";
  return isObject(sha256) && Object.values(sha256).every(isText) ? null : "sha256";
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isText(value: unknown): value is string {
  return typeof value === "string";
}
