/** Draws what the viewer shows: the windowed radiograph at device resolution, and the heatmap over it. */

import { colour } from "./colours";
import { placeHeatmap } from "./place_heatmap";
import { type Level, levelFor } from "./pyramid";
import { type Point, scaleOf, type Size, toImage, toViewer, type View } from "./view";
import { brightnessTable, type GrayWindow } from "./window_level";

/** A finding's class map with what its colours stand for. */
export interface HeatmapLayer {
  classMap: Float32Array;
  grid: Size;
  /** Logit units of the strongest colour. */
  scale: number;
}

export interface Scene {
  levels: readonly Level[];
  view: View;
  window: GrayWindow;
  heatmap: HeatmapLayer | null;
  /** Of the heatmap, 0..1 of its own opacity. */
  opacity: number;
}

/** A rectangle of a level's pixels. */
interface Part extends Size {
  left: number;
  top: number;
}

/** A heatmap has 4 to 28 cells a side and is smooth between them: more pixels would show no more. */
const HEATMAP_SIDE_PX = 768;
/** Beyond the visible edge, for the interpolation of the outermost pixels. */
const MARGIN_PX = 2;

/** A function that draws scenes on a canvas; it keeps what did not change from one scene to the next. */
export function createPainter(): (canvas: HTMLCanvasElement, scene: Scene) => void {
  const grayPart = createGrayPart();
  const placed = createPlacedHeatmap();
  return (canvas, scene) => {
    const context = canvas.getContext("2d", { alpha: false });
    if (context === null) return;
    const [image, viewer] = [scene.levels[0], { height: canvas.height, width: canvas.width }];
    const corner = toViewer(scene.view, image, viewer, { x: 0, y: 0 });
    const scale = scaleOf(scene.view, image, viewer);
    context.imageSmoothingQuality = "high";
    context.fillStyle = "#000";
    context.fillRect(0, 0, viewer.width, viewer.height);
    context.save();
    context.beginPath();
    context.rect(corner.x, corner.y, image.width * scale, image.height * scale);
    context.clip();
    const level = levelFor(scene.levels, scale);
    const far = { x: viewer.width, y: viewer.height };
    const part = visiblePart(level, toImage(scene.view, image, viewer, { x: 0, y: 0 }), toImage(scene.view, image, viewer, far));
    const step = level.step * scale;
    const gray = grayPart(level, part, scene.window);
    context.drawImage(gray, corner.x + part.left * step, corner.y + part.top * step, part.width * step, part.height * step);
    if (scene.heatmap !== null && scene.opacity > 0) {
      context.globalAlpha = scene.opacity;
      context.drawImage(placed(scene.heatmap, image), corner.x, corner.y, image.width * scale, image.height * scale);
    }
    context.restore();
  };
}

/** The pixels of the level between two points of the image, with a margin, within the level. */
export function visiblePart(level: Size & { step: number }, from: Point, to: Point): Part {
  const [left, width] = visibleAlong(level.width, from.x / level.step, to.x / level.step);
  const [top, height] = visibleAlong(level.height, from.y / level.step, to.y / level.step);
  return { left, top, width, height };
}

function visibleAlong(length: number, from: number, to: number): [number, number] {
  const first = Math.min(Math.max(Math.floor(from) - MARGIN_PX, 0), length - 1);
  const end = Math.min(Math.max(Math.ceil(to) + MARGIN_PX, first + 1), length);
  return [first, end - first];
}

/** A function that gives part of a level through a window, as a canvas of the part's size. */
function createGrayPart(): (level: Level, part: Part, window: GrayWindow) => HTMLCanvasElement {
  const canvas = document.createElement("canvas");
  let drawn: { level: Level; key: string } | null = null;
  return (level, part, window) => {
    const key = JSON.stringify([part, window]);
    if (drawn?.level === level && drawn.key === key) return canvas;
    drawn = { level, key };
    const table = Uint32Array.from(brightnessTable(window), (gray) => 0xff000000 | (gray * 0x010101));
    const data = new ImageData(part.width, part.height);
    const shown = new Uint32Array(data.data.buffer);
    for (let row = 0; row < part.height; row++) {
      const from = (part.top + row) * level.width + part.left;
      const to = row * part.width;
      for (let column = 0; column < part.width; column++) shown[to + column] = table[level.pixels[from + column]];
    }
    put(canvas, data);
    return canvas;
  };
}

/** A function that gives a coloured heatmap placed on an image, as a canvas of the image's shape. */
function createPlacedHeatmap(): (layer: HeatmapLayer, image: Size) => HTMLCanvasElement {
  const canvas = document.createElement("canvas");
  let drawn: { classMap: Float32Array; image: Size } | null = null;
  return (layer, image) => {
    if (drawn?.classMap === layer.classMap && drawn.image === image) return canvas;
    drawn = { classMap: layer.classMap, image };
    const shrunk = Math.min(1, HEATMAP_SIDE_PX / Math.max(image.height, image.width));
    const size = {
      height: Math.max(1, Math.round(image.height * shrunk)),
      width: Math.max(1, Math.round(image.width * shrunk)),
    };
    const data = new ImageData(size.width, size.height);
    colour(placeHeatmap(layer.classMap, layer.grid, size).map((value) => value / layer.scale), data.data);
    put(canvas, data);
    return canvas;
  };
}

function put(canvas: HTMLCanvasElement, data: ImageData): void {
  canvas.width = data.width;
  canvas.height = data.height;
  canvas.getContext("2d")?.putImageData(data, 0, 0);
}
