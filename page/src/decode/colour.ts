/** Colour pictures: their gray, and how much of them is of a strong colour; pocketcxr.imaging.colour in TypeScript. */
import { type Gray, thumbnail } from "../engine/resample";

/** Levels between a pixel's strongest and weakest primary colour. */
const STRONG = 40;
const LOOK_PX = 128;

/** 8-bit red, green and blue, pixel by pixel. */
export interface Rgb {
  pixels: Uint8Array;
  height: number;
  width: number;
}

/** The luma of ITU-R 601-2 in whole numbers, as Pillow's convert("L"). */
export function luma(red: number, green: number, blue: number): number {
  return (red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16;
}

/** The gray of a colour picture. */
export function lumaOf(rgb: Uint8Array): Uint8Array {
  const gray = new Uint8Array(rgb.length / 3);
  for (let at = 0, from = 0; at < gray.length; at++, from += 3) gray[at] = luma(rgb[from], rgb[from + 1], rgb[from + 2]);
  return gray;
}

/** The share of pixels of a strong colour. */
export function colouredShare(rgb: Rgb): number {
  const [red, green, blue] = [0, 1, 2].map((channel) => thumbnail(channelOf(rgb, channel), LOOK_PX).pixels);
  let numStrong = 0;
  for (let at = 0; at < red.length; at++) {
    const strongest = Math.max(red[at], green[at], blue[at]);
    if (strongest - Math.min(red[at], green[at], blue[at]) >= STRONG) numStrong++;
  }
  return numStrong / red.length;
}

/**
 * The picture as a JPEG decoder gives it when it is asked for a small one: an eighth, a quarter or a half of each side,
 * never smaller than what `colouredShare` looks at. Decoders leave out high frequencies; blocks averaged come near it.
 */
export function draft(rgb: Rgb): Rgb {
  const ratio = Math.min(rgb.height / LOOK_PX, rgb.width / LOOK_PX);
  const factor = [8, 4, 2].find((candidate) => ratio >= candidate);
  return factor === undefined ? rgb : averaged(rgb, factor);
}

function channelOf({ pixels, height, width }: Rgb, channel: number): Gray {
  const values = new Uint8Array(height * width);
  for (let at = 0; at < values.length; at++) values[at] = pixels[3 * at + channel];
  return { pixels: values, height, width };
}

function averaged(rgb: Rgb, factor: number): Rgb {
  const [height, width] = [Math.ceil(rgb.height / factor), Math.ceil(rgb.width / factor)];
  const pixels = new Uint8Array(3 * height * width);
  for (let row = 0; row < height; row++) {
    for (let column = 0; column < width; column++) {
      for (let channel = 0; channel < 3; channel++) {
        pixels[3 * (row * width + column) + channel] = blockMean(rgb, factor, row, column, channel);
      }
    }
  }
  return { pixels, height, width };
}

function blockMean(rgb: Rgb, factor: number, blockRow: number, blockColumn: number, channel: number): number {
  const bottom = Math.min((blockRow + 1) * factor, rgb.height);
  const right = Math.min((blockColumn + 1) * factor, rgb.width);
  let [sum, count] = [0, 0];
  for (let row = blockRow * factor; row < bottom; row++) {
    for (let column = blockColumn * factor; column < right; column++, count++) {
      sum += rgb.pixels[3 * (row * rgb.width + column) + channel];
    }
  }
  return Math.round(sum / count);
}
