/** Zoom, pan, window and resolutions: laws. */

import { describe, expect, test } from "vitest";

import { visiblePart } from "../../src/ui/painter";
import { levelFor, pyramidOf } from "../../src/ui/pyramid";
import { fittedView, fitScale, kept, panned, type Size, toImage, toViewer, type View, zoomed } from "../../src/ui/view";
import { brightnessTable, changedWindow, draggedWindow, FULL_WINDOW, MAX_WIDTH, MIN_WIDTH } from "../../src/ui/window_level";

const VIEWER: Size = { height: 600, width: 800 };
const IMAGES: Size[] = [
  { height: 2140, width: 1760 },
  { height: 300, width: 900 },
  { height: 17, width: 17 },
];

describe.each(IMAGES)("an image of %o", (image) => {
  test("fits whole into the viewer, and touches two of its edges", () => {
    const view = fittedView(image);
    const corner = toViewer(view, image, VIEWER, { x: 0, y: 0 });
    expect(Math.min(corner.x, corner.y)).toBeCloseTo(0, 6);
    expect(Math.max(corner.x, corner.y)).toBeGreaterThanOrEqual(0);
  });

  test("toImage and toViewer are each other's inverse", () => {
    const view: View = { zoom: 3.7, centre: { x: image.width / 3, y: image.height / 2.5 } };
    const point = { x: 123.4, y: 567.8 };
    const back = toViewer(view, image, VIEWER, toImage(view, image, VIEWER, point));
    expect(back.x).toBeCloseTo(point.x, 6);
    expect(back.y).toBeCloseTo(point.y, 6);
  });

  test("zooming in keeps what lies under the pointer, once the image is larger than the viewer", () => {
    const anchor = { x: 380, y: 290 };
    const near = zoomed(fittedView(image), image, VIEWER, 3.5, { x: 400, y: 300 });
    const under = toImage(near, image, VIEWER, anchor);
    const nearer = zoomed(near, image, VIEWER, 1.1, anchor);
    expect(toImage(nearer, image, VIEWER, anchor).x).toBeCloseTo(under.x, 4);
    expect(toImage(nearer, image, VIEWER, anchor).y).toBeCloseTo(under.y, 4);
  });

  test("zooming far in and out ends at bounds, and out is the fitted view", () => {
    const far = zoomed(fittedView(image), image, VIEWER, 1e9, { x: 1, y: 1 });
    expect(fitScale(image, VIEWER) * far.zoom).toBeLessThanOrEqual(Math.max(16, 4 * fitScale(image, VIEWER)) + 1e-9);
    expect(zoomed(far, image, VIEWER, 1e-9, { x: 700, y: 3 })).toEqual(fittedView(image));
  });

  test("panning never leaves empty room that the image could fill", () => {
    const near = zoomed(fittedView(image), image, VIEWER, 4, { x: 400, y: 300 });
    for (const [right, down] of [[1e6, 1e6], [-1e6, 30], [12, -1e6]]) {
      const moved = panned(near, image, VIEWER, right, down);
      expect(kept(moved, image, VIEWER)).toEqual(moved);
      const corner = toImage(moved, image, VIEWER, { x: 0, y: 0 });
      const scale = fitScale(image, VIEWER) * moved.zoom;
      if (image.width * scale > VIEWER.width) expect(corner.x).toBeGreaterThanOrEqual(-1e-6);
      if (image.height * scale > VIEWER.height) expect(corner.y).toBeGreaterThanOrEqual(-1e-6);
    }
  });
});

describe("window and level", () => {
  test("the full window shows every gray value as it is, and inverted as its opposite", () => {
    const table = brightnessTable(FULL_WINDOW);
    expect([...table]).toEqual(Array.from({ length: 256 }, (_, gray) => gray));
    expect([...brightnessTable({ ...FULL_WINDOW, isInverted: true })]).toEqual([...table].reverse());
  });

  test("values at and beyond the window's ends are black and white, and order is kept between", () => {
    const table = brightnessTable({ centre: 100, width: 50, isInverted: false });
    expect(table[75]).toBe(0);
    expect(table[10]).toBe(0);
    expect(table[125]).toBe(255);
    expect(table[250]).toBe(255);
    expect([...table]).toEqual([...table].sort((one, other) => one - other));
  });

  test("dragging up makes the image brighter, dragging right flatter", () => {
    const narrow = { centre: 128, width: 100, isInverted: false };
    expect(brightnessTable(draggedWindow(narrow, 0, -0.1))[128]).toBeGreaterThan(brightnessTable(narrow)[128]);
    const wider = brightnessTable(draggedWindow(narrow, 0.2, 0));
    expect(wider[150] - wider[110]).toBeLessThan(brightnessTable(narrow)[150] - brightnessTable(narrow)[110]);
  });

  test("no drag leads out of bounds", () => {
    expect(changedWindow(FULL_WINDOW, 1e9, 1e9)).toEqual({ centre: 255, width: MAX_WIDTH, isInverted: false });
    expect(changedWindow(FULL_WINDOW, -1e9, -1e9)).toEqual({ centre: 0, width: MIN_WIDTH, isInverted: false });
  });
});

describe("resolutions", () => {
  const size = { height: 301, width: 130 };
  const levels = pyramidOf(Uint8Array.from({ length: size.height * size.width }, (_, place) => (place * 7) % 256), size);

  test("each level covers the whole image, at half the former's resolution", () => {
    for (const level of levels) {
      expect(level.height).toBe(Math.ceil(size.height / level.step));
      expect(level.width).toBe(Math.ceil(size.width / level.step));
      expect(level.pixels.length).toBe(level.height * level.width);
    }
    expect(Math.max(levels[levels.length - 1].height, levels[levels.length - 1].width)).toBeLessThanOrEqual(64);
  });

  test("a plain image stays plain", () => {
    for (const level of pyramidOf(new Uint8Array(99 * 77).fill(93), { height: 99, width: 77 })) {
      expect(level.pixels.every((gray) => gray === 93)).toBe(true);
    }
  });

  test("the level has at least a pixel for each device pixel, and no more than two", () => {
    expect(levelFor(levels, 3).step).toBe(1);
    expect(levelFor(levels, 0.9).step).toBe(1);
    expect(levelFor(levels, 0.5).step).toBe(2);
    expect(levelFor(levels, 0.3).step).toBe(2);
    expect(levelFor(levels, 0.001).step).toBe(levels[levels.length - 1].step);
  });

  test("the visible part lies within the level and holds what is looked at", () => {
    const level = { height: 100, width: 50, step: 4 };
    expect(visiblePart(level, { x: -900, y: -900 }, { x: 900, y: 900 })).toEqual({ left: 0, top: 0, width: 50, height: 100 });
    const part = visiblePart(level, { x: 40, y: 80 }, { x: 80, y: 120 });
    expect(part).toEqual({ left: 8, top: 18, width: 14, height: 14 });
  });
});
