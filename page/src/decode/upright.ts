/** A picture turned as its EXIF orientation says. */

/** One value a pixel, row by row. */
export interface Plane {
  pixels: Uint8Array;
  height: number;
  width: number;
}

/**
 * Where the upright picture's pixel (row, column) lies in the stored one of `lastRow` + 1 rows (EXIF 2.3, tag 0x0112).
 * Orientations 5 to 8 swap rows and columns.
 */
const STORED_PLACE: Record<number, (row: number, column: number, lastRow: number, lastColumn: number) => [number, number]> = {
  2: (row, column, _, lastColumn) => [row, lastColumn - column],
  3: (row, column, lastRow, lastColumn) => [lastRow - row, lastColumn - column],
  4: (row, column, lastRow) => [lastRow - row, column],
  5: (row, column) => [column, row],
  6: (row, column, lastRow) => [lastRow - column, row],
  7: (row, column, lastRow, lastColumn) => [lastRow - column, lastColumn - row],
  8: (row, column, _, lastColumn) => [column, lastColumn - row],
};

/** The picture upright; itself where the orientation is 1 or none. */
export function upright(plane: Plane, orientation: number): Plane {
  const place = STORED_PLACE[orientation];
  if (place === undefined) return plane;
  const isSideways = orientation >= 5;
  const height = isSideways ? plane.width : plane.height;
  const width = isSideways ? plane.height : plane.width;
  const at = (row: number, column: number): number => {
    const [storedRow, storedColumn] = place(row, column, plane.height - 1, plane.width - 1);
    return storedRow * plane.width + storedColumn;
  };
  // Along a row of the upright picture the stored place moves by the same step.
  const step = width > 1 ? at(0, 1) - at(0, 0) : 0;
  const pixels = new Uint8Array(height * width);
  for (let row = 0; row < height; row++) {
    let from = at(row, 0);
    for (let column = 0; column < width; column++, from += step) pixels[row * width + column] = plane.pixels[from];
  }
  return { pixels, height, width };
}
