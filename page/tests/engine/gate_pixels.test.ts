import { expect, test } from "vitest";

import { grayScale, gridPeak, look, netInput } from "../../src/engine/gate_pixels";
import { resize, thumbnail } from "../../src/engine/resample";
import { draw, GOLDENS, told } from "./drawing";

const NET_INPUT_STEP = 7;

/** Every seventh value, in thousandths, as Python keeps it. */
function kept(base64: string): Int16Array {
  return new Int16Array(Uint8Array.from(Buffer.from(base64, "base64")).buffer);
}

for (const golden of GOLDENS.pictures) {
  const { height, width } = golden.drawing;
  const picture = draw(golden.drawing);
  const name = `a picture of ${height} x ${width}`;

  test(`${name} is drawn as in Python`, () => expect(told(picture).sha256).toBe(golden.sha256));

  test(`${name} is scaled down to Pillow's very bytes`, () => {
    const small = golden.thumbnails.map(({ side }) => ({ side, ...told(thumbnail(picture, side)) }));
    expect(small).toEqual(golden.thumbnails);
    expect(told(look(picture))).toEqual(golden.look);
  });

  test(`${name} is measured as in Python`, () => {
    const small = look(picture);
    const { spread, black_share: blackShare, white_share: whiteShare } = golden.gray_scale;
    expect(grayScale(small)).toEqual({ spread, blackShare, whiteShare });
    expect(Math.abs(gridPeak(picture) - golden.grid_peak)).toBeLessThan(1e-3);
  });

  test(`${name} is the same net input`, () => {
    const values = netInput(look(picture)).filter((_, place) => place % NET_INPUT_STEP === 0);
    const differences = Array.from(kept(golden.net_input), (one, place) => Math.abs(one / 1000 - values[place]));
    expect(differences).toHaveLength(values.length);
    expect(Math.max(...differences)).toBeLessThan(0.0005 + 1e-5);
  });
}

test("resize gives Pillow's very bytes, up and down", () => {
  for (const { height, width, resized } of GOLDENS.resizes) {
    const picture = draw({ height, width, seed: 20, border: 0, grid: 0 });
    expect(told(resize(picture, resized.height, resized.width))).toEqual(resized);
  }
});

test("a slanting grid stands out of what is without one", () => {
  const without = draw({ height: 300, width: 300, seed: 1, border: 0, grid: 0 });
  const withGrid = draw({ height: 300, width: 300, seed: 1, border: 0, grid: 30 });
  expect(gridPeak(withGrid)).toBeGreaterThan(gridPeak(without) + 1);
});
