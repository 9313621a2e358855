/** A made card and made answers for tests of the user interface. */

import type { Card, FindingScore, Scored } from "../../src/types";
import { initialState, type State, withFiles } from "../../src/ui/state";

const FINDINGS = ["Atelectasis", "Cardiomegaly", "Effusion", "Infiltration", "Mass", "Nodule", "Pneumonia", "Pneumothorax"];
const MORE = ["Consolidation", "Edema", "Emphysema", "Fibrosis", "Pleural_Thickening", "Hernia"];
const CRITERIA = { "sensitivity-90": 0.12, "specificity-90": 0.4, youden: 0.25 };

export const MADE_CARD: Card = {
  schema_version: 2,
  name: "student-224",
  created: "2026-01-01T00:00:00Z",
  made_by: "pocketcxr 0.1.0",
  intended_use: "Research use only. Not a medical device.",
  is_simulated: true,
  findings: [...FINDINGS, ...MORE],
  unlearnt: ["Hernia"],
  preprocess: { size: 224 },
  net: { name: "eeea-net-c2-map", head: "class-map", heatmap_height: 7, heatmap_width: 7 },
  builds: { fp32: { file: "model.onnx", tolerance: 1e-4 }, fp16: null, int8: null, shipped: "fp32" },
  calibration: null,
  operating_points: Object.entries(CRITERIA).flatMap(([criterion, threshold]) =>
    [...FINDINGS, ...MORE]
      .filter((finding) => finding !== "Hernia")
      .map((finding, place) => ({ finding, criterion, threshold: threshold * (0.6 + 0.07 * place) })),
  ),
  sha256: {},
};

/** A score without decisions. */
export function madeScore(finding: string, probability: number | null): FindingScore {
  const logit = probability === null ? null : Math.log(probability / (1 - probability));
  return { finding, logit, probability, isCalibrated: true, decisions: [] };
}

/** An answer for an image of the given size, with two findings. */
export function madeScored(height = 4, width = 3): Scored {
  const facts = { modality: null, sopClass: null, bodyPart: null, viewPosition: "UNKNOWN" as const, ageYears: null, colouredShare: 0 };
  return {
    radiograph: { pixels: new Uint8Array(height * width), height, width, format: "png", bitsStored: 8, facts },
    scores: [madeScore("Effusion", 0.2), madeScore("Nodule", 0.7)],
    heatmaps: new Float32Array(2 * 4),
    gridHeight: 2,
    gridWidth: 2,
    warnings: [],
    timings: { decodeMs: 1, gateMs: 1, prepareMs: 1, modelMs: 1 },
  };
}

/** The first state with files of these names in it. */
export function madeState(...names: string[]): State {
  const empty = initialState({ language: "en", theme: "dark", hasSingleKeys: true });
  return names.length === 0 ? empty : withFiles(empty, names.map((name) => ({ name, file: new Blob([name]) })));
}
