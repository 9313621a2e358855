/** What the input gate measures of a picture; pocketcxr.runtime.input_gate_pixels in Python, where the reasons are. */
import { type Gray, resize, thumbnail } from "./resample";
import { power } from "./spectrum";
import { median, percentiles, roundHalfEven } from "./statistics";

/** Side of the net's input in pixels. */
export const NET_SIZE = 64;
const LOOK_PX = 256;
/** A row or column at the edge with no greater range of gray levels is a border, not the picture. */
const FLAT = 6;
/** Of either side, how much is kept whatever its range: a flat picture is not all border. */
const LEAST_LEFT = 0.4;
const PATCH_PX = 256;
/** Frequencies this near to an axis are left out: anti-scatter grids, JPEG blocks and frames lie there. */
const AXIS = 3;

/** How the gray scale is used inside the borders. */
export interface GrayScale {
  /** Gray levels between the 1st and the 99th percentile. */
  spread: number;
  /** Of the pixels, those at most 2. */
  blackShare: number;
  /** Of the pixels, those at least 253. */
  whiteShare: number;
}

/** The picture scaled down to at most 256 pixels a side, without its one-coloured borders. */
export function look(picture: Gray): Gray {
  const small = thumbnail(picture, LOOK_PX);
  const [top, bottom] = kept(small.height, (row) => range(small, row, row + 1, 0, small.width));
  const [left, right] = kept(small.width, (column) => range(small, top, bottom, column, column + 1));
  const pixels = new Uint8Array((bottom - top) * (right - left));
  for (let row = top; row < bottom; row++) {
    const from = row * small.width;
    pixels.set(small.pixels.subarray(from + left, from + right), (row - top) * (right - left));
  }
  return { pixels, height: bottom - top, width: right - left };
}

/** How a picture that `look` gave uses the gray scale. */
export function grayScale({ pixels }: Gray): GrayScale {
  const [low, high] = percentiles(pixels, [1, 99]);
  let [black, white] = [0, 0];
  for (const level of pixels) {
    if (level <= 2) black += 1;
    if (level >= 253) white += 1;
  }
  return { spread: high - low, blackShare: black / pixels.length, whiteShare: white / pixels.length };
}

/** A picture that `look` gave as net input [64, 64]: mean 0, deviation 1 within, 0 beside it. */
export function netInput(small: Gray): Float32Array {
  const scale = NET_SIZE / Math.max(small.height, small.width);
  const height = Math.max(1, roundHalfEven(small.height * scale));
  const width = Math.max(1, roundHalfEven(small.width * scale));
  const { pixels } = resize(small, height, width);
  // From percentiles, so that a lead letter or a burnt-out corner does not set the scale.
  const [low, high] = percentiles(pixels, [1, 99]);
  const inner = Float64Array.from(pixels, (level) => Math.min(Math.max(level, low), high));
  const mean = meanOf(inner);
  const deviation = Math.max(Math.sqrt(meanOf(inner.map((level) => (level - mean) ** 2))), 1);
  const [top, left] = [(NET_SIZE - height) >> 1, (NET_SIZE - width) >> 1];
  const placed = new Float32Array(NET_SIZE * NET_SIZE);
  pixels.forEach((level, place) => {
    const [row, column] = [Math.floor(place / width), place % width];
    placed[(top + row) * NET_SIZE + left + column] = Math.min(Math.max((level - mean) / deviation, -3), 3);
  });
  return placed;
}

/**
 * How far the strongest fine, slanting wave stands out of its surroundings in the spectrum; 0 for a small image.
 * In decades of power over the median at its frequency, of the middle 256 x 256 pixels as they are.
 */
export function gridPeak(picture: Gray): number {
  if (Math.min(picture.height, picture.width) < PATCH_PX) return 0;
  const squares = power(windowed(picture), PATCH_PX);
  const half = PATCH_PX / 2 + 1;
  const rings: number[][] = Array.from({ length: PATCH_PX / 2 }, () => []);
  for (let row = 0; row < PATCH_PX; row++) {
    const down = Math.min(row, PATCH_PX - row);
    for (let across = AXIS + 1; across < half && down > AXIS; across++) {
      const ring = Math.round(Math.sqrt(down * down + across * across));
      if (ring > PATCH_PX / 8 && ring < PATCH_PX / 2) rings[ring].push(Math.log10(squares[row * half + across] + 1));
    }
  }
  const above = rings.filter((ring) => ring.length > 0).map((ring) => Math.max(...ring) - median(ring));
  return Math.max(...above);
}

/** The middle patch less its mean, fading to its edges (Hann's window). */
function windowed({ pixels, height, width }: Gray): Float64Array {
  const [top, left] = [(height - PATCH_PX) >> 1, (width - PATCH_PX) >> 1];
  const patch = new Float64Array(PATCH_PX * PATCH_PX);
  for (let row = 0; row < PATCH_PX; row++) {
    const from = (top + row) * width + left;
    patch.set(pixels.subarray(from, from + PATCH_PX), row * PATCH_PX);
  }
  const mean = meanOf(patch);
  const fade = Float64Array.from(
    { length: PATCH_PX },
    (_, place) => 0.5 - 0.5 * Math.cos((2 * Math.PI * place) / (PATCH_PX - 1)),
  );
  return patch.map((level, place) => (level - mean) * fade[Math.floor(place / PATCH_PX)] * fade[place % PATCH_PX]);
}

function meanOf(values: Float64Array): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** Of a part of the picture, the brightest level minus the darkest. */
function range({ pixels, width }: Gray, top: number, bottom: number, left: number, right: number): number {
  let [low, high] = [255, 0];
  for (let row = top; row < bottom; row++) {
    for (let at = row * width + left; at < row * width + right; at++) {
      low = Math.min(low, pixels[at]);
      high = Math.max(high, pixels[at]);
    }
  }
  return high - low;
}

/** The rows (or columns) left when flat ones are cut off at both ends: the first, and the one after the last. */
function kept(count: number, rangeOf: (place: number) => number): [number, number] {
  const isLively = Array.from({ length: count }, (_, place) => rangeOf(place) > FLAT);
  const [first, last] = [isLively.indexOf(true), isLively.lastIndexOf(true)];
  return first === -1 || last - first + 1 < LEAST_LEFT * count ? [0, count] : [first, last + 1];
}
