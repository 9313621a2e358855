/** A PNG file's pixel rows: inflated, filters undone (PNG specification, 9), interlaced ones at their places (8). */
import { RowStream } from "./inflate";
import { corrupt } from "./limits";

/** Where Adam7's seven passes start, and how far they step, in pixels: [row, column, row step, column step]. */
const PASSES = [
  ...[[0, 0, 8, 8], [0, 4, 8, 8], [4, 0, 8, 4], [0, 2, 4, 4], [2, 0, 4, 2], [0, 1, 2, 2], [1, 0, 2, 1]],
];

/** The shape of a file's pixels. */
export interface RowShape {
  height: number;
  width: number;
  bitsPerPixel: number;
  isInterlaced: boolean;
}

/**
 * Gives each row's bytes to `place`, pixel `index` of them belonging to (row, firstColumn + index * columnStep). Rows
 * that a stream's end leaves out are not given. Throws Refused "corrupt".
 */
export function readRows(
  shape: RowShape,
  nextInput: () => Uint8Array | null,
  place: (bytes: Uint8Array, row: number, firstColumn: number, columnStep: number, count: number) => void,
): void {
  const stream = new RowStream(nextInput);
  const passes = shape.isInterlaced ? PASSES : [[0, 0, 1, 1]];
  const bytesPerPixel = Math.ceil(shape.bitsPerPixel / 8);
  for (const [firstRow, firstColumn, rowStep, columnStep] of passes) {
    const count = Math.ceil((shape.width - firstColumn) / columnStep);
    if (count <= 0) continue;
    const numBytes = Math.ceil((count * shape.bitsPerPixel) / 8);
    // A byte before each row names its filter.
    let [row, previous] = [new Uint8Array(1 + numBytes), new Uint8Array(1 + numBytes)];
    for (let rowAt = firstRow; rowAt < shape.height; rowAt += rowStep) {
      if (!stream.fill(row)) return;
      unfilter(row, previous, bytesPerPixel);
      place(row.subarray(1), rowAt, firstColumn, columnStep, count);
      [row, previous] = [previous, row];
    }
  }
}

function unfilter(row: Uint8Array, previous: Uint8Array, bytesPerPixel: number): void {
  const length = row.length;
  const second = bytesPerPixel + 1;
  switch (row[0]) {
    case 0:
      return;
    case 1:
      for (let at = second; at < length; at++) row[at] += row[at - bytesPerPixel];
      return;
    case 2:
      for (let at = 1; at < length; at++) row[at] += previous[at];
      return;
    case 3:
      for (let at = 1; at < Math.min(second, length); at++) row[at] += previous[at] >> 1;
      for (let at = second; at < length; at++) row[at] += (row[at - bytesPerPixel] + previous[at]) >> 1;
      return;
    case 4:
      for (let at = 1; at < Math.min(second, length); at++) row[at] += previous[at];
      for (let at = second; at < length; at++) {
        row[at] += nearest(row[at - bytesPerPixel], previous[at], previous[at - bytesPerPixel]);
      }
      return;
    default:
      throw corrupt(`an unknown filter ${row[0]}`);
  }
}

/** Paeth's predictor: of the left, upper and upper left byte the one nearest to left + upper - upper left. */
function nearest(left: number, upper: number, upperLeft: number): number {
  const guess = left + upper - upperLeft;
  const [toLeft, toUpper, toUpperLeft] = [Math.abs(guess - left), Math.abs(guess - upper), Math.abs(guess - upperLeft)];
  if (toLeft <= toUpper && toLeft <= toUpperLeft) return left;
  return toUpper <= toUpperLeft ? upper : upperLeft;
}
