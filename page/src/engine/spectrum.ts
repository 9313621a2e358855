/** The Fourier transform of a square patch. */

/** The squared magnitude at every frequency: [side, side / 2 + 1], as of numpy.fft.rfft2. `side` is a power of two. */
export function power(patch: Float64Array, side: number): Float64Array {
  const [real, imaginary] = [Float64Array.from(patch), new Float64Array(patch.length)];
  const transform = makeTransform(side);
  for (let row = 0; row < side; row++) {
    transform(real.subarray(row * side, (row + 1) * side), imaginary.subarray(row * side, (row + 1) * side));
  }
  const half = side / 2 + 1;
  const squares = new Float64Array(side * half);
  const [columnReal, columnImaginary] = [new Float64Array(side), new Float64Array(side)];
  for (let column = 0; column < half; column++) {
    for (let row = 0; row < side; row++) {
      columnReal[row] = real[row * side + column];
      columnImaginary[row] = imaginary[row * side + column];
    }
    transform(columnReal, columnImaginary);
    for (let row = 0; row < side; row++) {
      squares[row * half + column] = columnReal[row] ** 2 + columnImaginary[row] ** 2;
    }
  }
  return squares;
}

/** Cooley and Tukey's transform of `length` complex values in place. */
function makeTransform(length: number): (real: Float64Array, imaginary: Float64Array) => void {
  const order = bitReversed(length);
  const cosines = Float64Array.from({ length: length / 2 }, (_, place) => Math.cos((2 * Math.PI * place) / length));
  const sines = Float64Array.from({ length: length / 2 }, (_, place) => Math.sin((2 * Math.PI * place) / length));
  return (real, imaginary) => {
    reorder(real, order);
    reorder(imaginary, order);
    for (let span = 1; span < length; span *= 2) {
      const step = length / (2 * span);
      for (let start = 0; start < length; start += 2 * span) {
        for (let offset = 0; offset < span; offset++) {
          const upper = start + offset;
          const lower = upper + span;
          const cosine = cosines[offset * step];
          const sine = sines[offset * step];
          const turnedReal = real[lower] * cosine + imaginary[lower] * sine;
          const turnedImaginary = imaginary[lower] * cosine - real[lower] * sine;
          real[lower] = real[upper] - turnedReal;
          imaginary[lower] = imaginary[upper] - turnedImaginary;
          real[upper] += turnedReal;
          imaginary[upper] += turnedImaginary;
        }
      }
    }
  };
}

function reorder(values: Float64Array, order: Uint32Array): void {
  for (let place = 0; place < values.length; place++) {
    const other = order[place];
    if (other <= place) continue;
    const kept = values[place];
    values[place] = values[other];
    values[other] = kept;
  }
}

function bitReversed(length: number): Uint32Array {
  const order = new Uint32Array(length);
  for (let place = 1; place < length; place++) order[place] = (order[place >> 1] >> 1) | (place & 1 ? length >> 1 : 0);
  return order;
}
