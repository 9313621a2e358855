/** Pointers, wheel and fingers on the canvas, told as drags and zooms. Points are CSS pixels from its upper left. */

import type { Point } from "./view";

export type DragTool = "window" | "pan";

export interface GestureListener {
  /** Which tool the plain drag has. */
  tool(): DragTool;
  drag(tool: DragTool, right: number, down: number): void;
  zoom(factor: number, anchor: Point): void;
  /** A double click or double tap. */
  fit(): void;
}

const WHEEL_PIXELS_TO_DOUBLE = 400;
const WHEEL_LINE_PX = 30;
const MIDDLE_BUTTON = 1;
const RIGHT_BUTTON = 2;

export function listenToGestures(canvas: HTMLElement, listener: GestureListener): void {
  const fingers = new Map<number, Point>();
  let tool: DragTool = "window";

  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, pointOf(event));
    const isOther = event.shiftKey || event.button === MIDDLE_BUTTON || event.button === RIGHT_BUTTON;
    tool = isOther ? otherTool(listener.tool()) : listener.tool();
  });
  canvas.addEventListener("pointermove", (event) => {
    const former = fingers.get(event.pointerId);
    if (former === undefined) return;
    const now = pointOf(event);
    const still = [...fingers].find(([id]) => id !== event.pointerId)?.[1];
    fingers.set(event.pointerId, now);
    if (still === undefined) listener.drag(tool, now.x - former.x, now.y - former.y);
    else pinch(listener, still, former, now);
  });
  for (const name of ["pointerup", "pointercancel", "lostpointercapture"] as const) {
    canvas.addEventListener(name, (event) => void fingers.delete(event.pointerId));
  }
  canvas.addEventListener("dblclick", () => listener.fit());
  canvas.addEventListener("contextmenu", (event) => event.preventDefault());
  canvas.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      const pixels = event.deltaY * (event.deltaMode === WheelEvent.DOM_DELTA_LINE ? WHEEL_LINE_PX : 1);
      listener.zoom(2 ** (-pixels / WHEEL_PIXELS_TO_DOUBLE), pointOf(event));
    },
    { passive: false },
  );
}

export function otherTool(tool: DragTool): DragTool {
  return tool === "window" ? "pan" : "window";
}

/** One of two fingers moved: the distance zooms, the middle moves the image. */
function pinch(listener: GestureListener, still: Point, former: Point, now: Point): void {
  const before = Math.hypot(former.x - still.x, former.y - still.y);
  const after = Math.hypot(now.x - still.x, now.y - still.y);
  const middle = { x: (now.x + still.x) / 2, y: (now.y + still.y) / 2 };
  if (before > 0 && after > 0) listener.zoom(after / before, middle);
  listener.drag("pan", (now.x - former.x) / 2, (now.y - former.y) / 2);
}

function pointOf(event: MouseEvent): Point {
  return { x: event.offsetX, y: event.offsetY };
}
