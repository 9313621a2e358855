/** Colours of a heatmap, the same as Python's imaging.overlay: warm speaks for the finding, cool against it. */

// Anchors of rising lightness, so that stronger looks brighter on the dark lung and in a gray print alike.
const FOR = [[60, 0, 30], [135, 10, 45], [200, 40, 35], [240, 95, 20], [255, 160, 45], [255, 225, 120]];
const AGAINST = [[0, 20, 70], [5, 55, 130], [20, 95, 185], [45, 140, 225], [110, 185, 245], [190, 225, 250]];
const MOST_OPAQUE = 0.65;
const STEPS = 255;
/** What a colour bar is blended over: the gray of lung. */
export const LUNG_GRAY = 90;

/** [red, green, blue, opacity] x (2 * STEPS + 1) for strengths from -1 to 1, each 0..255. */
const TABLE = colourTable();

/** Writes the colour of every strength (-1..1 of the scale; beyond is cut off) as RGBA, opaque as it is strong. */
export function colour(strengths: Float32Array, rgba: Uint8ClampedArray): void {
  for (let place = 0; place < strengths.length; place++) {
    const strength = Math.min(Math.max(strengths[place], -1), 1);
    const entry = Math.round((strength + 1) * STEPS) * 4;
    rgba[place * 4] = TABLE[entry];
    rgba[place * 4 + 1] = TABLE[entry + 1];
    rgba[place * 4 + 2] = TABLE[entry + 2];
    rgba[place * 4 + 3] = TABLE[entry + 3];
  }
}

/** What a heatmap's strongest colour stands for: the largest absolute cell of all learnt findings, logit units.
 *
 * It is one for all findings of an image, so that they can be compared.
 */
export function colourScale(heatmaps: Float32Array, cells: number, isLearnt: readonly boolean[]): number {
  let largest = 0;
  isLearnt.forEach((learnt, finding) => {
    if (!learnt) return;
    for (const value of heatmaps.subarray(finding * cells, (finding + 1) * cells)) {
      largest = Math.max(largest, Math.abs(value));
    }
  });
  return largest || 1;
}

function colourTable(): Uint8ClampedArray {
  const table = new Uint8ClampedArray((2 * STEPS + 1) * 4);
  for (let entry = 0; entry <= 2 * STEPS; entry++) {
    const magnitude = Math.abs(entry / STEPS - 1);
    const anchors = entry < STEPS ? AGAINST : FOR;
    for (let channel = 0; channel < 3; channel++) table[entry * 4 + channel] = between(anchors, magnitude, channel);
    table[entry * 4 + 3] = MOST_OPAQUE * magnitude * (2 - magnitude) * 255;
  }
  return table;
}

function between(anchors: number[][], magnitude: number, channel: number): number {
  const place = magnitude * (anchors.length - 1);
  const lower = Math.min(Math.floor(place), anchors.length - 2);
  const share = place - lower;
  return anchors[lower][channel] * (1 - share) + anchors[lower + 1][channel] * share;
}
