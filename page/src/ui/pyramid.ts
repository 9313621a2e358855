/** A radiograph at its own and at coarser resolutions, so that a reduced picture is averaged and not thinned out. */

import type { Size } from "./view";

/** One resolution. A pixel covers `step` x `step` pixels of the image; at the far edges less. */
export interface Level extends Size {
  pixels: Uint8Array;
  step: number;
}

const COARSEST_SIDE_PX = 64;

/** The image and its halvings, the finest first. */
export function pyramidOf(pixels: Uint8Array, size: Size): Level[] {
  const levels: Level[] = [{ pixels, height: size.height, width: size.width, step: 1 }];
  let last = levels[0];
  while (Math.max(last.height, last.width) > COARSEST_SIDE_PX) {
    last = halved(last);
    levels.push(last);
  }
  return levels;
}

/** The coarsest level that has at least one pixel for each device pixel, at `scale` device pixels an image pixel. */
export function levelFor(levels: readonly Level[], scale: number): Level {
  const enough = levels.filter((level) => level.step * scale <= 1);
  return enough.length === 0 ? levels[0] : enough[enough.length - 1];
}

function halved(level: Level): Level {
  const height = Math.ceil(level.height / 2);
  const width = Math.ceil(level.width / 2);
  const pixels = new Uint8Array(height * width);
  for (let row = 0; row < height; row++) {
    const above = 2 * row * level.width;
    const below = Math.min(2 * row + 1, level.height - 1) * level.width;
    for (let column = 0; column < width; column++) {
      const left = 2 * column;
      const right = Math.min(left + 1, level.width - 1);
      const sum = level.pixels[above + left] + level.pixels[above + right] + level.pixels[below + left] + level.pixels[below + right];
      pixels[row * width + column] = (sum + 2) >> 2;
    }
  }
  return { pixels, height, width, step: level.step * 2 };
}
