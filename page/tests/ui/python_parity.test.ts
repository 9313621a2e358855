/** The page writes, colours and places what Python does. */

import { describe, expect, test } from "vitest";

import type { Card } from "../../src/types";
import { colour } from "../../src/ui/colours";
import { csvOf } from "../../src/ui/csv";
import { placeHeatmap } from "../../src/ui/place_heatmap";
import { GOLDENS } from "./goldens";

describe("as Python", () => {
  test("the CSV is that of predict --csv, byte for byte", () => {
    const { card, scored, refused, text } = GOLDENS.csv;
    const lines = scored.map(({ path, scores }) => ({ path, status: "scored" as const, message: "", scores }));
    expect(csvOf(card as Card, [...lines, refused])).toBe(text);
  });

  test.each(GOLDENS.colours)("a heatmap over gray $gray has the overlay's colours within 1", ({ gray, strengths, rgb }) => {
    const rgba = new Uint8ClampedArray(strengths.length * 4);
    colour(Float32Array.from(strengths), rgba);
    strengths.forEach((_, place) => {
      const opacity = rgba[place * 4 + 3] / 255;
      for (let channel = 0; channel < 3; channel++) {
        const blended = Math.round(rgba[place * 4 + channel] * opacity + gray * (1 - opacity));
        expect(Math.abs(blended - rgb[place][channel])).toBeLessThanOrEqual(1);
      }
    });
  });

  test.each(GOLDENS.heatmaps)("a heatmap of $grid is placed on an image of $image within 1e-5", ({ grid, image, classMap, placed }) => {
    const found = placeHeatmap(Float32Array.from(classMap), grid, image);
    expect(found.length).toBe(placed.length);
    placed.forEach((value, pixel) => expect(Math.abs(found[pixel] - value)).toBeLessThanOrEqual(1e-5));
  });
});
