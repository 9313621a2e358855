/** The viewer: one radiograph with its window, zoom and heatmap, on a canvas of the device's own pixels. */

import { type DragTool, listenToGestures } from "./gestures";
import { createPainter, type HeatmapLayer } from "./painter";
import type { Picture } from "./pixel_store";
import { type Level, pyramidOf } from "./pyramid";
import { fittedView, kept, panned, type Point, scaleOf, type Size, type View, zoomed } from "./view";
import { changedWindow, draggedWindow, FULL_WINDOW, type GrayWindow } from "./window_level";

/** What the tool bar shows of the viewer. */
export interface ViewerFacts {
  window: GrayWindow;
  tool: DragTool;
  /** Device pixels for one image pixel; null without an image. */
  scale: number | null;
}

export interface Viewer {
  /** Another picture starts fitted and unwindowed; the same one stays as it is. */
  show(picture: Picture | null, heatmap: HeatmapLayer | null, opacity: number): void;
  zoomBy(factor: number): void;
  fit(): void;
  reset(): void;
  invert(): void;
  changeWindow(widthBy: number, centreBy: number): void;
  pan(right: number, down: number): void;
  setTool(tool: DragTool): void;
  facts(): ViewerFacts;
}

/** Movement of the image, in CSS pixels, by one press of an arrow key. */
export const PAN_STEP_PX = 40;

export function createViewer(canvas: HTMLCanvasElement, changed: () => void): Viewer {
  const paint = createPainter();
  let shown: { picture: Picture; levels: Level[] } | null = null;
  let heatmap: HeatmapLayer | null = null;
  let opacity = 1;
  let view: View = { zoom: 1, centre: { x: 0, y: 0 } };
  let grayWindow: GrayWindow = FULL_WINDOW;
  let tool: DragTool = matchMedia("(pointer: coarse)").matches ? "pan" : "window";
  let isPlanned = false;

  const size = (): Size => ({ height: canvas.height, width: canvas.width });
  const draw = () => {
    isPlanned = false;
    fitCanvas(canvas);
    if (shown === null) canvas.getContext("2d", { alpha: false })?.clearRect(0, 0, canvas.width, canvas.height);
    else {
      view = kept(view, shown.picture, size());
      paint(canvas, { levels: shown.levels, view, window: grayWindow, heatmap, opacity });
    }
    // At the fitting zoom there is nothing to move, so a finger may scroll the page.
    canvas.style.touchAction = view.zoom === 1 && tool === "pan" ? "pan-y" : "none";
    changed();
  };
  const plan = () => {
    if (!isPlanned) requestAnimationFrame(draw);
    isPlanned = true;
  };
  const setView = (next: (picture: Picture) => View) => {
    if (shown === null) return;
    view = next(shown.picture);
    plan();
  };
  const setWindow = (next: GrayWindow) => {
    grayWindow = next;
    plan();
  };
  const zoomAt = (factor: number, anchor: Point) => setView((image) => zoomed(view, image, size(), factor, anchor));
  const panBy = (right: number, down: number) => {
    const ratio = devicePixels();
    setView((image) => panned(view, image, size(), right * ratio, down * ratio));
  };
  const fit = () => setView(fittedView);

  listenToGestures(canvas, {
    tool: () => tool,
    drag(dragged, right, down) {
      if (dragged === "pan") panBy(right, down);
      else setWindow(draggedWindow(grayWindow, right / canvas.clientWidth, down / canvas.clientHeight));
    },
    zoom: (factor, anchor) => zoomAt(factor, { x: anchor.x * devicePixels(), y: anchor.y * devicePixels() }),
    fit,
  });
  new ResizeObserver(plan).observe(canvas);

  return {
    show(picture, layer, share) {
      if (picture?.pixels !== shown?.picture.pixels) {
        shown = picture === null ? null : { picture, levels: pyramidOf(picture.pixels, picture) };
        if (picture !== null) view = fittedView(picture);
        grayWindow = FULL_WINDOW;
      }
      heatmap = layer;
      opacity = share;
      plan();
    },
    zoomBy: (factor) => zoomAt(factor, { x: canvas.width / 2, y: canvas.height / 2 }),
    fit,
    reset() {
      setWindow(FULL_WINDOW);
      fit();
    },
    invert: () => setWindow({ ...grayWindow, isInverted: !grayWindow.isInverted }),
    changeWindow: (widthBy, centreBy) => setWindow(changedWindow(grayWindow, widthBy, centreBy)),
    pan: panBy,
    setTool(next) {
      tool = next;
      plan();
    },
    facts: () => ({ window: grayWindow, tool, scale: shown === null ? null : scaleOf(view, shown.picture, size()) }),
  };
}

function devicePixels(): number {
  return window.devicePixelRatio || 1;
}

/** Gives the canvas as many pixels as the device shows of it. */
function fitCanvas(canvas: HTMLCanvasElement): void {
  const width = Math.max(1, Math.round(canvas.clientWidth * devicePixels()));
  const height = Math.max(1, Math.round(canvas.clientHeight * devicePixels()));
  if (canvas.width !== width) canvas.width = width;
  if (canvas.height !== height) canvas.height = height;
}
