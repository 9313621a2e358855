/** Where a heatmap lies on its radiograph: Python's imaging.geometry.place_heatmap. */

/** One axis: for each pixel, the cell before it and how much the next cell counts. */
interface Axis {
  lower: Int32Array;
  share: Float32Array;
}

/** A class map [gridHeight, gridWidth] over the padded square as a heatmap [height, width] on the image's own pixels.
 *
 * Bilinear between the cells' centres, constant beyond the outer ones; the padding is cut off; values stay in logit
 * units.
 */
export function placeHeatmap(
  classMap: Float32Array,
  grid: { height: number; width: number },
  image: { height: number; width: number },
): Float32Array {
  const side = Math.max(image.height, image.width);
  const rows = axisOf(image.height, side, grid.height);
  const columns = axisOf(image.width, side, grid.width);
  const heatmap = new Float32Array(image.height * image.width);
  const line = new Float32Array(grid.width);
  for (let row = 0; row < image.height; row++) {
    const above = rows.lower[row] * grid.width;
    const below = grid.height > 1 ? above + grid.width : above;
    for (let cell = 0; cell < grid.width; cell++) {
      line[cell] = mixed(classMap[above + cell], classMap[below + cell], rows.share[row]);
    }
    for (let column = 0; column < image.width; column++) {
      const left = columns.lower[column];
      const right = grid.width > 1 ? left + 1 : left;
      heatmap[row * image.width + column] = mixed(line[left], line[right], columns.share[column]);
    }
  }
  return heatmap;
}

function axisOf(length: number, side: number, cells: number): Axis {
  const offset = Math.floor((side - length) / 2);
  const axis = { lower: new Int32Array(length), share: new Float32Array(length) };
  for (let pixel = 0; pixel < length; pixel++) {
    const centre = (pixel + 0.5 + offset) * (cells / side) - 0.5;
    const inside = Math.min(Math.max(centre, 0), cells - 1);
    axis.lower[pixel] = Math.min(Math.floor(inside), Math.max(cells - 2, 0));
    axis.share[pixel] = inside - axis.lower[pixel];
  }
  return axis;
}

function mixed(first: number, second: number, share: number): number {
  return first * (1 - share) + second * share;
}
