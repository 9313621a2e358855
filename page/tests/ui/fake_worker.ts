/** A worker with made answers, for looking at the page without a bundle: it draws its own phantom of a chest.
 *
 * Built in worker.js's place. A file's name decides: "refused.<code>", "warned", "slow"; anything else is scored.
 */

import type { Card, FindingScore, FromWorker, Radiograph, RefusalCode, Scored, ToWorker } from "../../src/types";
import { MADE_CARD } from "./made";

const GRID = 7;
const DIGEST = "3f9a0c41d27be65584a1".padEnd(64, "0");

const hear = async ({ data }: MessageEvent<ToWorker>): Promise<void> => {
  if (data.kind === "open") {
    for (let part = 0; part <= 4; part++) {
      tell({ kind: "loading", loadedBytes: part * 3.6e6, totalBytes: 14.4e6 });
      await pause(data.siteUrl.includes("slow") ? 60_000 : 5);
    }
    tell({ kind: "ready", facts: { card: MADE_CARD, digest: DIGEST, precision: "fp32", hasGate: true, threads: 4, loadMs: 300 } });
    return;
  }
  await pause(data.name.includes("slow") ? 60_000 : 10);
  const refused = /refused\.([a-z-]+)/.exec(data.name)?.[1] as RefusalCode | undefined;
  if (refused !== undefined && data.checksInput) tell({ kind: "refused", id: data.id, code: refused, detail: "made up" });
  else tell({ kind: "scored", id: data.id, result: scored(data.name) });
};
addEventListener("message", (event) => void hear(event as MessageEvent<ToWorker>));

function tell(message: FromWorker): void {
  (self as unknown as { postMessage(message: FromWorker): void }).postMessage(message);
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function scored(name: string): Scored {
  const seed = [...name].reduce((sum, letter) => (sum * 31 + letter.charCodeAt(0)) % 9973, 7);
  const scores = MADE_CARD.findings.map((finding, place) => scoreOf(MADE_CARD, finding, 4 * Math.sin(seed + place * 1.7) - 2.2));
  const heatmaps = Float32Array.from({ length: scores.length * GRID * GRID }, (_, place) => {
    const [row, column, finding] = [Math.floor(place / GRID) % GRID, place % GRID, Math.floor(place / GRID / GRID)];
    const distance = Math.hypot(row - 2 - (finding % 4), column - 1 - ((finding * 3) % 5));
    return 5 * Math.exp(-distance * distance / 2) * ((scores[finding].logit ?? 0) > -2 ? 1 : -0.5) - 0.4;
  });
  const warnings: Scored["warnings"] = name.includes("warned") ? ["photograph-of-a-screen"] : [];
  const timings = { decodeMs: 38, gateMs: 6, prepareMs: 9, modelMs: 31 };
  return { radiograph: phantom(1216, 1024), scores, heatmaps, gridHeight: GRID, gridWidth: GRID, warnings, timings };
}

function scoreOf(card: Card, finding: string, logit: number): FindingScore {
  if (card.unlearnt.includes(finding)) return { finding, logit: null, probability: null, isCalibrated: false, decisions: [] };
  const probability = 1 / (1 + Math.exp(-logit));
  const decisions = card.operating_points
    .filter((point) => point.finding === finding)
    .map(({ criterion, threshold }) => ({ criterion, threshold, isPositive: probability >= threshold }));
  return { finding, logit, probability, isCalibrated: finding !== "Mass", decisions };
}

/** Two dark lungs, a bright middle, ribs. */
function phantom(height: number, width: number): Radiograph {
  const pixels = Uint8Array.from({ length: height * width }, (_, place) => {
    const [y, x] = [Math.floor(place / width) / height, (place % width) / width];
    const lung = (cx: number) => Math.exp(-(((x - cx) / 0.15) ** 4 + ((y - 0.45) / 0.3) ** 4));
    const body = 200 * Math.exp(-(((x - 0.5) / 0.47) ** 8));
    const ribs = 14 * Math.sin(60 * (y + 0.25 * Math.abs(x - 0.5)));
    return Math.max(0, body - (130 - ribs) * (lung(0.3) + lung(0.7)) + 25 * Math.exp(-(((x - 0.5) / 0.05) ** 2)));
  });
  const facts = { modality: "DX", sopClass: null, bodyPart: "CHEST", viewPosition: "PA" as const, ageYears: 50, colouredShare: null };
  return { pixels, height, width, format: "dicom", bitsStored: 12, facts };
}
