/** The colour bar beside a heatmap: the same blend, with figures at round fractions of the scale, in logit units. */

import type { Words } from "../messages/messages";
import { colour, LUNG_GRAY } from "./colours";
import { element, setText } from "./dom";
import { scaleFigure } from "./format_g";
import type { HeatmapLayer } from "./painter";
import { placeHeatmap } from "./place_heatmap";
import type { Size } from "./view";

export interface ColourBar {
  /** Shows a bar that ends at `scale`; none for null. */
  show(bar: { scale: number; isSigned: boolean; opacity: number } | null, words: Words): void;
}

const LENGTH_PX = 256;
/** Fine enough to know the sign of a map of at most 28 cells a side. */
const COARSE_SIDE_PX = 128;

/** Whether a heatmap speaks against its finding anywhere on the image, so that its bar has a cool half. */
export function isSigned(layer: Pick<HeatmapLayer, "classMap" | "grid">, image: Size): boolean {
  const shrunk = Math.min(1, COARSE_SIDE_PX / Math.max(image.height, image.width));
  const size = { height: Math.ceil(image.height * shrunk), width: Math.ceil(image.width * shrunk) };
  return placeHeatmap(layer.classMap, layer.grid, size).some((value) => value < 0);
}

/** Where a bar has figures: shares of its scale, the highest first. */
export function ticksOf(hasTwoSides: boolean): number[] {
  return hasTwoSides ? [1, 0.5, 0, -0.5, -1] : [1, 0.75, 0.5, 0.25, 0];
}

export function createColourBar(figure: HTMLElement): ColourBar {
  const canvas = element("canvas", { width: "1", height: String(LENGTH_PX), "aria-hidden": "true" });
  const unit = element("span", { class: "bar-unit", "aria-hidden": "true" });
  const top = element("span", { class: "bar-end", "aria-hidden": "true" });
  const bottom = element("span", { class: "bar-end", "aria-hidden": "true" });
  const figures = element("div", { class: "bar-figures", "aria-hidden": "true" });
  figure.replaceChildren(unit, top, element("div", { class: "bar-body" }, canvas, figures), bottom);
  let drawn = "";
  return {
    show(bar, words) {
      figure.hidden = bar === null;
      const key = JSON.stringify([bar, words.language]);
      if (bar === null || key === drawn) return;
      drawn = key;
      drawBar(canvas, bar.isSigned, bar.opacity);
      setText(unit, words.say("heatmap.unit"));
      setText(top, words.say("heatmap.for"));
      setText(bottom, bar.isSigned ? words.say("heatmap.against") : "");
      const ticks = ticksOf(bar.isSigned).map((share) => localised(scaleFigure(share * bar.scale, bar.isSigned), words));
      figures.replaceChildren(...ticks.map((tick) => element("span", {}, tick)));
      figure.setAttribute("aria-label", words.say("heatmap.bar", { low: ticks[ticks.length - 1], high: ticks[0] }));
    },
  };
}

function localised(figure: string, words: Words): string {
  const pointed = words.language === "de" ? figure.replace(".", ",") : figure;
  return pointed.replace("-", "\u2212");
}

function drawBar(canvas: HTMLCanvasElement, isSigned: boolean, opacity: number): void {
  const context = canvas.getContext("2d");
  if (context === null) return;
  const low = isSigned ? -1 : 0;
  const strengths = Float32Array.from({ length: LENGTH_PX }, (_, row) => 1 + (row / (LENGTH_PX - 1)) * (low - 1));
  const data = new ImageData(1, LENGTH_PX);
  colour(strengths, data.data);
  for (let row = 0; row < LENGTH_PX; row++) {
    const share = (data.data[row * 4 + 3] / 255) * opacity;
    for (let channel = 0; channel < 3; channel++) {
      const place = row * 4 + channel;
      data.data[place] = data.data[place] * share + LUNG_GRAY * (1 - share);
    }
    data.data[row * 4 + 3] = 255;
  }
  context.putImageData(data, 0, 0);
}
