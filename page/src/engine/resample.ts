/**
 * Pillow's way to a smaller gray picture, bit for bit: `thumbnail` and `resize` with BILINEAR, which is a triangle
 * filter as wide as the step between target pixels, in whole numbers of 22 bits, rounded after each of its two passes.
 */

/** Gray levels row by row. */
export interface Gray {
  pixels: Uint8Array;
  height: number;
  width: number;
}

/** The part of a picture that is scaled, from its upper left corner, in pixels; C's float in Pillow. */
interface Extent {
  height: number;
  width: number;
}

/** One target row or column: it starts at `starts[i]` and sums `counts[i]` source pixels. */
interface AxisWeights {
  starts: Int32Array;
  counts: Int32Array;
  /** [target, stride] */
  weights: Int32Array;
  stride: number;
}

const PRECISION_BITS = 32 - 8 - 2;
const HALF = 1 << (PRECISION_BITS - 1);
/** The triangle scales down by at least this much; what is beyond is averaged in whole blocks before. */
const REDUCING_GAP = 2;

/** Pillow's `thumbnail((longest, longest), BILINEAR, reducing_gap=2.0)`: the picture itself where it is no larger. */
export function thumbnail(picture: Gray, longest: number): Gray {
  const { height, width } = picture;
  if (Math.max(height, width) <= longest) return picture;
  const aspect = width / height;
  const narrowError = (side: number): number => Math.abs(aspect - side / longest);
  const lowError = (side: number): number => (side === 0 ? 0 : Math.abs(aspect - longest / side));
  const target =
    aspect <= 1
      ? { height: longest, width: nearestSide(longest * aspect, narrowError) }
      : { height: nearestSide(longest / aspect, lowError), width: longest };
  const across = Math.floor(width / target.width / REDUCING_GAP) || 1;
  const down = Math.floor(height / target.height / REDUCING_GAP) || 1;
  if (across === 1 && down === 1) return resize(picture, target.height, target.width);
  const extent = { height: Math.fround(height / down), width: Math.fround(width / across) };
  return scaled(reduced(picture, down, across), target.height, target.width, extent);
}

/** Pillow's `resize((width, height), BILINEAR)`. */
export function resize(picture: Gray, height: number, width: number): Gray {
  return scaled(picture, height, width, picture);
}

/** Of the whole numbers around `side`, the one that keeps the aspect better; at least 1. */
function nearestSide(side: number, error: (side: number) => number): number {
  const [below, above] = [Math.floor(side), Math.ceil(side)];
  return Math.max(error(above) < error(below) ? above : below, 1);
}

/** Blocks of `down` x `across` pixels averaged; blocks at the right and lower edge are as small as what is left. */
function reduced(picture: Gray, down: number, across: number): Gray {
  const [height, width] = [Math.ceil(picture.height / down), Math.ceil(picture.width / across)];
  const pixels = new Uint8Array(height * width);
  for (let row = 0; row < height; row++) {
    const [top, bottom] = [row * down, Math.min((row + 1) * down, picture.height)];
    for (let column = 0; column < width; column++) {
      const [left, right] = [column * across, Math.min((column + 1) * across, picture.width)];
      pixels[row * width + column] = blockMean(picture, top, bottom, left, right);
    }
  }
  return { pixels, height, width };
}

function blockMean(picture: Gray, top: number, bottom: number, left: number, right: number): number {
  const count = (bottom - top) * (right - left);
  let sum = count >> 1;
  for (let row = top; row < bottom; row++) {
    const end = row * picture.width + right;
    for (let at = row * picture.width + left; at < end; at++) sum += picture.pixels[at];
  }
  // Pillow multiplies by the reciprocal, a float of 24 bits, cut off: exact division would differ now and then.
  const reciprocal = Math.trunc(Math.fround(2 ** 32 / (count * 256)));
  return Math.imul(sum, reciprocal) >>> 24;
}

/** `extent` of the picture at the given size. */
function scaled(picture: Gray, height: number, width: number, extent: Extent): Gray {
  const isAsWide = width === picture.width && extent.width === width;
  const isAsHigh = height === picture.height && extent.height === height;
  const narrow = (from: Gray): Gray =>
    isAsWide ? from : scaledRows(from, axisWeights(from.width, extent.width, width), width);
  const lower = (from: Gray): Gray =>
    isAsHigh ? from : scaledColumns(from, axisWeights(from.height, extent.height, height), height);
  return isLoweredFirst(picture, height, width) ? narrow(lower(picture)) : lower(narrow(picture));
}

/** Pillow 13 begins with the columns where that takes more than twice as many rows away as columns. */
function isLoweredFirst(picture: Gray, height: number, width: number): boolean {
  return picture.height - height > 2 * Math.max(picture.width - width, 0);
}

function scaledRows(picture: Gray, axis: AxisWeights, width: number): Gray {
  const { height } = picture;
  const pixels = new Uint8Array(height * width);
  for (let row = 0; row < height; row++) {
    for (let column = 0; column < width; column++) {
      const from = row * picture.width + axis.starts[column];
      const weightsFrom = column * axis.stride;
      let sum = HALF;
      for (let tap = 0; tap < axis.counts[column]; tap++) {
        sum += picture.pixels[from + tap] * axis.weights[weightsFrom + tap];
      }
      pixels[row * width + column] = sum >> PRECISION_BITS;
    }
  }
  return { pixels, height, width };
}

function scaledColumns(picture: Gray, axis: AxisWeights, height: number): Gray {
  const { width } = picture;
  const pixels = new Uint8Array(height * width);
  for (let row = 0; row < height; row++) {
    const weightsFrom = row * axis.stride;
    for (let column = 0; column < width; column++) {
      const from = axis.starts[row] * width + column;
      let sum = HALF;
      for (let tap = 0; tap < axis.counts[row]; tap++) {
        sum += picture.pixels[from + tap * width] * axis.weights[weightsFrom + tap];
      }
      pixels[row * width + column] = sum >> PRECISION_BITS;
    }
  }
  return { pixels, height, width };
}

/** The triangles along one axis: `extent` of `source` pixels become `target` pixels. */
function axisWeights(source: number, extent: number, target: number): AxisWeights {
  const scale = extent / target;
  const support = Math.max(scale, 1);
  const inverse = 1 / support;
  const stride = Math.ceil(support) * 2 + 1;
  const [starts, counts] = [new Int32Array(target), new Int32Array(target)];
  const weights = new Int32Array(target * stride);
  const shares = new Float64Array(stride);
  for (let place = 0; place < target; place++) {
    const centre = (place + 0.5) * scale;
    const start = Math.max(Math.trunc(centre - support + 0.5), 0);
    const count = Math.min(Math.trunc(centre + support + 0.5), source) - start;
    let total = 0;
    for (let tap = 0; tap < count; tap++) {
      shares[tap] = Math.max(1 - Math.abs((tap + start - centre + 0.5) * inverse), 0);
      total += shares[tap];
    }
    for (let tap = 0; tap < count; tap++) {
      weights[place * stride + tap] = Math.trunc(0.5 + (shares[tap] / total) * (1 << PRECISION_BITS));
    }
    [starts[place], counts[place]] = [start, count];
  }
  return { starts, counts, weights, stride };
}
