/** What the parts of the page say to each other: decoder -> engine -> worker -> user interface. */

/** Why an image is not scored. The values of pocketcxr.domain.errors.RefusalCode that a browser can meet. */
export type RefusalCode =
  | "empty-file"
  | "not-an-image"
  | "unsupported-format"
  | "corrupt"
  | "multi-frame"
  | "too-large"
  | "too-small"
  | "constant"
  | "missing-codec"
  | "too-much-memory"
  | "timed-out"
  | "decoder-crashed"
  | "not-a-chest-radiograph"
  | "lateral"
  | "inverted"
  | "rotated"
  | "heavily-cropped"
  | "blank"
  | "over-exposed"
  | "child"
  | "unsupported-modality"
  | "unsupported-sop-class";

/** Thrown by decoders and the input gate. `detail` says in English what was met; the page words the code itself. */
export class Refused extends Error {
  constructor(
    readonly code: RefusalCode,
    readonly detail: string,
  ) {
    super(`${code}: ${detail}`);
  }
}

export type SourceFormat = "png" | "jpeg" | "dicom";
export type ViewPosition = "PA" | "AP" | "LATERAL" | "UNKNOWN";

/** What a file says besides its gray pixels; null where it does not say. */
export interface SourceFacts {
  modality: string | null;
  /** SOP Class UID. */
  sopClass: string | null;
  /** Body Part Examined, in capitals. */
  bodyPart: string | null;
  viewPosition: ViewPosition;
  ageYears: number | null;
  /** Of the pixels of a PNG or JPEG file, the share of a strong colour; null for DICOM. */
  colouredShare: number | null;
}

/** One decoded X-ray, as pocketcxr.imaging.load gives it in Python. */
export interface Radiograph {
  /** Gray, row by row, bright = more attenuation. height * width values. */
  pixels: Uint8Array;
  height: number;
  width: number;
  format: SourceFormat;
  bitsStored: number;
  facts: SourceFacts;
}

/** A finding at one operating point. */
export interface Decision {
  criterion: string;
  threshold: number;
  isPositive: boolean;
}

/** One finding's score; everything is null or empty where the model never learnt it. */
export interface FindingScore {
  finding: string;
  logit: number | null;
  probability: number | null;
  isCalibrated: boolean;
  decisions: Decision[];
}

/** What is odd about an image that is scored all the same. */
export type WarningCode = "photograph-of-a-screen";

export interface Timings {
  decodeMs: number;
  gateMs: number;
  prepareMs: number;
  modelMs: number;
}

/** An image with its scores and all heatmaps. */
export interface Scored {
  radiograph: Radiograph;
  /** In the card's order. */
  scores: FindingScore[];
  /** [finding, gridHeight, gridWidth] over the padded square, logit units. */
  heatmaps: Float32Array;
  gridHeight: number;
  gridWidth: number;
  warnings: WarningCode[];
  timings: Timings;
}

/** What the site runs; the server or the export writes it as site.json beside index.html. */
export interface Site {
  /** Folder of the bundle's files, relative to index.html, with its slash. */
  bundle: string;
  /** Which of the card's builds to run. */
  precision: "fp32" | "fp16" | "int8";
  /** Version of the program that wrote the site. */
  madeBy: string;
}

/** The parts of card.json that the page reads; docs/reference/card.schema.json is the whole. */
export interface Card {
  schema_version: number;
  name: string;
  created: string;
  made_by: string;
  intended_use: string;
  is_simulated: boolean;
  findings: string[];
  unlearnt: string[];
  preprocess: { size: number };
  net: { name: string; head: string; heatmap_height: number; heatmap_width: number };
  builds: Record<"fp32" | "fp16" | "int8", { file: string; tolerance: number } | null> & { shipped: string };
  calibration: { findings: { finding: string; slope: number; offset: number }[] } | null;
  operating_points: { finding: string; criterion: string; threshold: number }[];
  sha256: Record<string, string>;
}

/** How the engine came up. */
export interface EngineFacts {
  card: Card;
  /** SHA-256 of card.json: it identifies the bundle. */
  digest: string;
  precision: string;
  hasGate: boolean;
  threads: number;
  loadMs: number;
}

export type ToWorker =
  | { kind: "open"; siteUrl: string; threads: number | null }
  | { kind: "score"; id: number; name: string; bytes: ArrayBuffer; checksInput: boolean };

export type FromWorker =
  | { kind: "loading"; loadedBytes: number; totalBytes: number | null }
  | { kind: "ready"; facts: EngineFacts }
  /** The page cannot work: the bundle is damaged, the browser is too old. */
  | { kind: "failed"; reason: "damaged-bundle" | "newer-bundle" | "no-wasm" | "unreachable" | "other"; detail: string }
  | { kind: "scored"; id: number; result: Scored }
  | { kind: "refused"; id: number; code: RefusalCode; detail: string };
