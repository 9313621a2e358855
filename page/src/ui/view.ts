/** Zoom and pan: between an image's own pixels and the viewer's. */

export interface Size {
  height: number;
  width: number;
}

export interface Point {
  x: number;
  y: number;
}

/** What part of the image is shown: `zoom` times the fitting scale, the image point `centre` in the middle. */
export interface View {
  zoom: number;
  centre: Point;
}

/** Device pixels for one image pixel, beyond which a closer look shows nothing more. */
const LARGEST_SCALE = 16;
const LEAST_MAX_ZOOM = 4;

/** The whole image in the middle. */
export function fittedView(image: Size): View {
  return { zoom: 1, centre: { x: image.width / 2, y: image.height / 2 } };
}

/** Device pixels for one image pixel at zoom 1, where the image just fits. */
export function fitScale(image: Size, viewer: Size): number {
  return Math.min(viewer.width / image.width, viewer.height / image.height);
}

/** Device pixels for one image pixel. */
export function scaleOf(view: View, image: Size, viewer: Size): number {
  return fitScale(image, viewer) * view.zoom;
}

/** A point of the viewer in image pixels. */
export function toImage(view: View, image: Size, viewer: Size, point: Point): Point {
  const scale = scaleOf(view, image, viewer);
  return {
    x: view.centre.x + (point.x - viewer.width / 2) / scale,
    y: view.centre.y + (point.y - viewer.height / 2) / scale,
  };
}

/** A point of the image in viewer pixels. */
export function toViewer(view: View, image: Size, viewer: Size, point: Point): Point {
  const scale = scaleOf(view, image, viewer);
  return {
    x: (point.x - view.centre.x) * scale + viewer.width / 2,
    y: (point.y - view.centre.y) * scale + viewer.height / 2,
  };
}

/** The view zoomed by `factor`; what lies under `anchor` (viewer pixels) stays there as far as the edges allow. */
export function zoomed(view: View, image: Size, viewer: Size, factor: number, anchor: Point): View {
  const fit = fitScale(image, viewer);
  const most = Math.max(LEAST_MAX_ZOOM, LARGEST_SCALE / fit);
  const zoom = Math.min(Math.max(view.zoom * factor, 1), most);
  const under = toImage(view, image, viewer, anchor);
  const scale = fit * zoom;
  const centre = {
    x: under.x - (anchor.x - viewer.width / 2) / scale,
    y: under.y - (anchor.y - viewer.height / 2) / scale,
  };
  return kept({ zoom, centre }, image, viewer);
}

/** The view with the image moved by (right, down) viewer pixels. */
export function panned(view: View, image: Size, viewer: Size, right: number, down: number): View {
  const scale = scaleOf(view, image, viewer);
  const centre = { x: view.centre.x - right / scale, y: view.centre.y - down / scale };
  return kept({ zoom: view.zoom, centre }, image, viewer);
}

/** The view with no empty room beside an image that could fill it. */
export function kept(view: View, image: Size, viewer: Size): View {
  const scale = scaleOf(view, image, viewer);
  return {
    zoom: view.zoom,
    centre: {
      x: keptAlong(view.centre.x, image.width, viewer.width / scale),
      y: keptAlong(view.centre.y, image.height, viewer.height / scale),
    },
  };
}

function keptAlong(centre: number, length: number, shown: number): number {
  if (shown >= length) return length / 2;
  return Math.min(Math.max(centre, shown / 2), length - shown / 2);
}
