/** The limits that every file must keep, and the last step to 8 bits; pocketcxr.imaging.radiograph in TypeScript. */
import { Refused } from "../types";

/** The largest chest detectors give about 20 million; more is a decompression bomb or no radiograph. */
export const MAX_PIXELS = 50_000_000;
/** Padding to a square makes side * side pixels of it. */
export const MAX_SIDE_PX = 10_000;
/** Uncompressed colour of 16 bits, and room for a header. */
export const MAX_FILE_BYTES = 6 * MAX_PIXELS + (1 << 24);
/** The smallest model input. */
const MIN_SIDE_PX = 16;

/** What is thrown of a damaged file. */
export function corrupt(detail: string): Refused {
  return new Refused("corrupt", `is damaged or cut short (${detail})`);
}

/** Nothing, when an image of this size may be decoded. Throws Refused "too-large" or "too-small". */
export function checkSize(height: number, width: number): void {
  if (height * width > MAX_PIXELS || Math.max(height, width) > MAX_SIDE_PX) {
    throw new Refused("too-large", `${width} x ${height} pixels; at most ${MAX_PIXELS}, ${MAX_SIDE_PX} a side`);
  }
  if (Math.min(height, width) < MIN_SIDE_PX) {
    throw new Refused("too-small", `${width} x ${height} pixels; at least ${MIN_SIDE_PX} a side are needed`);
  }
}

/** A value as 0..255: `black` becomes 0, `white` 255 (either may be the greater), cut off beyond, rounded. */
export function to8Bits(value: number, black: number, white: number): number {
  const scaled = (value - black) * (255 / (white - black)) + 0.5;
  return Math.trunc(Math.min(Math.max(scaled, 0), 255));
}

/** Nothing, when the least and the greatest pixel differ. Throws Refused "constant". */
export function refuseConstant(low: number, high: number): void {
  if (low === high) throw new Refused("constant", `every pixel is ${low}, nothing is shown`);
}

/** The least and the greatest of some values; infinities where there are none. */
export function rangeOf(values: ArrayLike<number>): [number, number] {
  let [low, high] = [Infinity, -Infinity];
  for (let at = 0; at < values.length; at++) {
    const value = values[at];
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return [low, high];
}
