/** The decoded pixels of the last few images; older ones are dropped and decoded again on demand. */

import type { Size } from "./view";

export interface Picture extends Size {
  pixels: Uint8Array;
}

export interface PixelStore {
  /** Keeps a picture, and drops the ones longest unused beyond the budget; the newest is always kept. */
  put(id: number, picture: Picture): void;
  /** The picture, which counts as used now; null where it was dropped. */
  get(id: number): Picture | null;
  has(id: number): boolean;
  drop(id: number): void;
  clear(): void;
  /** Bytes held. */
  held(): number;
}

/** Two of the largest images, or dozens of ordinary ones. */
const BUDGET_BYTES = 100_000_000;

export function createPixelStore(budgetBytes: number = BUDGET_BYTES): PixelStore {
  // A Map remembers the order of insertion: the first is the one longest unused.
  const pictures = new Map<number, Picture>();
  const held = () => [...pictures.values()].reduce((sum, picture) => sum + picture.pixels.byteLength, 0);
  return {
    put(id, picture) {
      pictures.delete(id);
      pictures.set(id, picture);
      for (const oldest of [...pictures.keys()]) {
        if (oldest === id || held() <= budgetBytes) break;
        pictures.delete(oldest);
      }
    },
    get(id) {
      const picture = pictures.get(id);
      if (picture === undefined) return null;
      pictures.delete(id);
      pictures.set(id, picture);
      return picture;
    },
    has: (id) => pictures.has(id),
    drop: (id) => void pictures.delete(id),
    clear: () => pictures.clear(),
    held,
  };
}
