/** The tools under the image, and the keys that do the same. */

import type { Words } from "../messages/messages";
import { required, setText } from "./dom";
import type { KeyActions } from "./keys";
import type { State } from "./state";
import type { Store } from "./store";
import { PAN_STEP_PX, type Viewer } from "./viewer";

export interface Toolbar {
  show(state: State, words: Words): void;
}

const ZOOM_STEP = 1.25;
const WINDOW_STEP = 8;

/** Ties buttons and sliders to the viewer and the state. */
export function createToolbar(store: Store<State>, viewer: Viewer): Toolbar {
  const press = (id: string, act: () => void) => required(id, HTMLButtonElement).addEventListener("click", act);
  press("tool-window", () => viewer.setTool("window"));
  press("tool-pan", () => viewer.setTool("pan"));
  press("zoom-in", () => viewer.zoomBy(ZOOM_STEP));
  press("zoom-out", () => viewer.zoomBy(1 / ZOOM_STEP));
  press("fit", viewer.fit);
  press("invert", viewer.invert);
  press("reset", viewer.reset);
  press("heatmap", () => toggleHeatmap(store));
  const [width, level, opacity] = ["width", "level", "opacity"].map((id) => required(id, HTMLInputElement));
  width.addEventListener("input", () => viewer.changeWindow(width.valueAsNumber - viewer.facts().window.width, 0));
  level.addEventListener("input", () => viewer.changeWindow(0, level.valueAsNumber - viewer.facts().window.centre));
  opacity.addEventListener("input", () => {
    store.update((state) => ({ ...state, opacity: opacity.valueAsNumber / 100 }));
  });
  holdToCompare(required("compare", HTMLButtonElement), store);
  movesByArrows(required("canvas", HTMLCanvasElement), viewer);

  return {
    show(state, words) {
      const { window, tool, scale } = viewer.facts();
      pressed("tool-window", tool === "window");
      pressed("tool-pan", tool === "pan");
      pressed("invert", window.isInverted);
      pressed("heatmap", state.showsHeatmap);
      pressed("compare", state.isComparing);
      width.valueAsNumber = window.width;
      level.valueAsNumber = window.centre;
      setText(required("width-figure", HTMLOutputElement), words.count(window.width));
      setText(required("level-figure", HTMLOutputElement), words.count(window.centre));
      setText(required("zoom", HTMLOutputElement), scale === null ? "" : `${words.count(100 * scale)} %`);
      for (const control of document.querySelectorAll<HTMLButtonElement | HTMLInputElement>("#tools button, #tools input")) {
        control.disabled = scale === null;
      }
    },
  };
}

/** What the keys do to the image; the rest of the page adds its own. */
export function imageKeys(store: Store<State>, viewer: Viewer): KeyActions {
  const act = (change: () => void) => () => {
    if (viewer.facts().scale !== null) change();
  };
  return {
    press: {
      h: () => toggleHeatmap(store),
      "+": act(() => viewer.zoomBy(ZOOM_STEP)),
      "=": act(() => viewer.zoomBy(ZOOM_STEP)),
      "-": act(() => viewer.zoomBy(1 / ZOOM_STEP)),
      "0": act(viewer.fit),
      i: act(viewer.invert),
      r: act(viewer.reset),
      "[": act(() => viewer.changeWindow(-WINDOW_STEP, 0)),
      "]": act(() => viewer.changeWindow(WINDOW_STEP, 0)),
      ",": act(() => viewer.changeWindow(0, -WINDOW_STEP)),
      ".": act(() => viewer.changeWindow(0, WINDOW_STEP)),
    },
    hold: { key: "c", act: (isHeld) => compare(store, isHeld) },
  };
}

function toggleHeatmap(store: Store<State>): void {
  store.update((state) => ({ ...state, showsHeatmap: !state.showsHeatmap }));
}

function compare(store: Store<State>, isComparing: boolean): void {
  store.update((state) => (state.isComparing === isComparing ? state : { ...state, isComparing }));
}

function holdToCompare(button: HTMLButtonElement, store: Store<State>): void {
  button.addEventListener("pointerdown", (event) => {
    button.setPointerCapture(event.pointerId);
    compare(store, true);
  });
  for (const name of ["pointerup", "pointercancel", "lostpointercapture", "blur"]) {
    button.addEventListener(name, () => compare(store, false));
  }
  button.addEventListener("keydown", (event) => {
    if (event.key === " " || event.key === "Enter") compare(store, true);
  });
  button.addEventListener("keyup", () => compare(store, false));
}

function movesByArrows(canvas: HTMLCanvasElement, viewer: Viewer): void {
  const steps: Record<string, [number, number]> = {
    ArrowLeft: [PAN_STEP_PX, 0],
    ArrowRight: [-PAN_STEP_PX, 0],
    ArrowUp: [0, PAN_STEP_PX],
    ArrowDown: [0, -PAN_STEP_PX],
  };
  canvas.addEventListener("keydown", (event) => {
    if (!Object.hasOwn(steps, event.key)) return;
    viewer.pan(...steps[event.key]);
    event.preventDefault();
  });
}

function pressed(id: string, isPressed: boolean): void {
  required(id, HTMLButtonElement).setAttribute("aria-pressed", String(isPressed));
}
