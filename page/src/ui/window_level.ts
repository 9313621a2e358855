/** Window and level: how gray values become brightness on the screen. */

/** Gray values centre - width/2 .. centre + width/2 become black .. white. */
export interface GrayWindow {
  centre: number;
  width: number;
  isInverted: boolean;
}

export const FULL_WINDOW: GrayWindow = { centre: 127.5, width: 255, isInverted: false };
export const MIN_WIDTH = 2;
export const MAX_WIDTH = 510;
/** A drag across the whole viewer changes width or centre by this much. */
const DRAG_RANGE = 255;

/** Brightness 0..255 of each gray value 0..255: the linear exact function of DICOM PS3.3 C.11.2.1.3.2. */
export function brightnessTable(window: GrayWindow): Uint8ClampedArray {
  const table = new Uint8ClampedArray(256);
  for (let gray = 0; gray < 256; gray++) {
    const brightness = Math.min(Math.max(((gray - window.centre) / window.width + 0.5) * 255, 0), 255);
    table[gray] = window.isInverted ? 255 - brightness : brightness;
  }
  return table;
}

/** The window after a drag of (right, down) as shares of the viewer: right widens it, up makes the image brighter. */
export function draggedWindow(window: GrayWindow, right: number, down: number): GrayWindow {
  return changedWindow(window, right * DRAG_RANGE, down * DRAG_RANGE);
}

/** The window with width and centre changed, kept within what makes sense. */
export function changedWindow(window: GrayWindow, widthBy: number, centreBy: number): GrayWindow {
  return {
    ...window,
    width: Math.min(Math.max(window.width + widthBy, MIN_WIDTH), MAX_WIDTH),
    centre: Math.min(Math.max(window.centre + centreBy, 0), 255),
  };
}
