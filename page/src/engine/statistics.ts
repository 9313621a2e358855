/** Order statistics as numpy gives them. */

/** The gray levels at `percents` of the sorted ones, linear between neighbours: numpy.percentile. */
export function percentiles(levels: Uint8Array, percents: readonly number[]): number[] {
  const sorted = levels.slice().sort();
  return percents.map((percent) => {
    const at = (sorted.length - 1) * (percent / 100);
    const below = Math.floor(at);
    const [low, high] = [sorted[below], sorted[Math.min(below + 1, sorted.length - 1)]];
    const share = at - below;
    return share >= 0.5 ? high - (high - low) * (1 - share) : low + (high - low) * share;
  });
}

/** The middle value, or the mean of the two in the middle. */
export function median(values: ArrayLike<number>): number {
  const sorted = Float64Array.from(values).sort();
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** Python's round(): halves go to the even neighbour. */
export function roundHalfEven(value: number): number {
  const below = Math.floor(value);
  const rest = value - below;
  if (rest !== 0.5) return rest < 0.5 ? below : below + 1;
  return below % 2 === 0 ? below : below + 1;
}
