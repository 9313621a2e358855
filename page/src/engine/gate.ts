/** The input gate: is this picture a frontal chest X-ray at all? pocketcxr.runtime.input_gate in Python. */
import { type Radiograph, Refused, type WarningCode } from "../types";
import { OpenFailure } from "./failure";
import { checkHeader } from "./gate_header";
import { type GrayScale, grayScale, gridPeak, look, NET_SIZE, netInput } from "./gate_pixels";
import { customMetadata } from "./metadata";
import type { Gray } from "./resample";
import { floats, floatTensor, type Graph, loadGraph } from "./session";

/** The gate's file in a bundle. */
export const GATE = "input-gate.onnx";
const FACTS_KEY = "input_gate";
/** What the net tells apart; all but the first are the refusal's code. */
const KINDS = ["frontal", "lateral", "inverted", "rotated", "heavily-cropped", "not-a-chest-radiograph"] as const;
type Kind = (typeof KINDS)[number];

const ADVICE: Record<Exclude<Kind, "frontal">, string> = {
  lateral: "looks like a chest from the side - give the frontal view",
  inverted: "looks inverted, black for white - export it as MONOCHROME2, or invert it",
  rotated: "looks turned - turn it upright, the head up",
  "heavily-cropped": "shows too little of the chest - give the whole image",
  "not-a-chest-radiograph": "does not look like a chest X-ray - give a frontal chest X-ray",
};

const LIMITS = [
  "least_frontal",
  "min_side_px",
  "least_spread",
  "most_white_share",
  "most_black_share",
  "most_coloured_share",
  "grid_decades",
] as const;
/** What the gate's file says of its limits; pocketcxr.runtime.input_gate.GateFacts explains each. */
type Limits = Record<(typeof LIMITS)[number], number>;

/** The gate, ready to run. */
export interface Gate {
  limits: Limits;
  net: Graph;
}

/** The gate in the bytes of an input-gate.onnx. Throws OpenFailure. */
export async function openGate(model: Uint8Array<ArrayBuffer>): Promise<Gate> {
  const limits = readLimits(customMetadata(model).get(FACTS_KEY));
  return { limits, net: await loadGraph(model) };
}

/** What is odd about the picture (mostly nothing). Throws Refused where it is not to be scored. */
export async function checkInput(gate: Gate, radiograph: Radiograph): Promise<WarningCode[]> {
  checkHeader(radiograph.facts);
  checkColours(gate.limits, radiograph.facts.colouredShare);
  checkSize(gate.limits, radiograph);
  const small = look(radiograph);
  checkExposure(gate.limits, grayScale(small));
  const kind = kindOf(gate.limits, await kindLogits(gate, small));
  if (kind !== "frontal") throw new Refused(kind, ADVICE[kind]);
  return gridPeak(radiograph) >= gate.limits.grid_decades ? ["photograph-of-a-screen"] : [];
}

/** The kind of picture by the net's answer [kind]: frontal if that is likely enough, else the likeliest other. */
export function kindOf(limits: Limits, logits: Float32Array): Kind {
  const highest = Math.max(...logits);
  const grown = Array.from(logits, (logit) => Math.exp(logit - highest));
  const frontal = grown[0] / grown.reduce((sum, one) => sum + one, 0);
  if (Math.fround(frontal) >= Math.fround(limits.least_frontal)) return KINDS[0];
  const others = grown.slice(1);
  return KINDS[1 + others.indexOf(Math.max(...others))];
}

async function kindLogits(gate: Gate, small: Gray): Promise<Float32Array> {
  const images = floatTensor(netInput(small), [1, 1, NET_SIZE, NET_SIZE]);
  const { logits } = await gate.net.run({ images });
  return floats(logits);
}

function readLimits(text: string | undefined): Limits {
  const facts = JSON.parse(text ?? "null") as (Partial<Limits> & { version?: number; kinds?: string[] }) | null;
  const isKnown = facts?.version === 1 && facts.kinds?.join() === KINDS.join();
  if (!isKnown || LIMITS.some((name) => typeof facts[name] !== "number")) {
    const what = `${GATE} does not say what it is, or is of a newer version`;
    throw new OpenFailure("newer-bundle", `${what}; update pocketcxr and serve the page again`);
  }
  return facts as Limits;
}

function checkColours(limits: Limits, colouredShare: number | null): void {
  if (colouredShare === null || colouredShare <= limits.most_coloured_share) return;
  const what = `is a colour picture (${percent(colouredShare)} of it strongly coloured)`;
  throw new Refused("not-a-chest-radiograph", `${what} - give a chest X-ray in gray`);
}

function checkSize(limits: Limits, { height, width }: Gray): void {
  if (Math.min(height, width) >= limits.min_side_px) return;
  const what = `${width} x ${height} pixels; at least ${limits.min_side_px} a side are needed`;
  throw new Refused("too-small", `${what} - give the full image`);
}

function checkExposure(limits: Limits, scale: GrayScale): void {
  if (scale.spread < limits.least_spread) {
    const what = `shows next to nothing (${scale.spread.toFixed(0)} of 255 gray levels)`;
    throw new Refused("blank", `${what} - export it with its window`);
  }
  const refuse = (share: number, end: string): never => {
    const what = `${percent(share)} of it is plain ${end}`;
    throw new Refused("over-exposed", `${what} - export it with another window, or take it again`);
  };
  if (scale.whiteShare > limits.most_white_share) refuse(scale.whiteShare, "white");
  if (scale.blackShare > limits.most_black_share) refuse(scale.blackShare, "black");
}

function percent(share: number): string {
  return `${(100 * share).toFixed(0)}%`;
}
