/** PNG files, equal to what Pillow makes of them: colour becomes its luma, transparency black, 16-bit gray its range. */
import { type Radiograph, Refused } from "../types";
import { colouredShare, luma } from "./colour";
import { orientationOf } from "./exif";
import { checkSize, corrupt, rangeOf, refuseConstant, to8Bits } from "./limits";
import { PngChunks, type PngHeader } from "./png_chunks";
import { readRows } from "./png_rows";
import { upright } from "./upright";

/** Samples a pixel of each colour type, and the bit depths it may have (PNG specification, 11.2.1). */
const COLOUR_TYPES: Record<number, { samples: number; depths: number[] }> = {
  0: { samples: 1, depths: [1, 2, 4, 8, 16] },
  2: { samples: 3, depths: [8, 16] },
  3: { samples: 1, depths: [1, 2, 4, 8] },
  4: { samples: 2, depths: [8, 16] },
  6: { samples: 4, depths: [8, 16] },
};
const [GRAY, RGB, PALETTE, GRAY_ALPHA] = [0, 2, 3, 4];
/** Pillow takes larger files for bombs, before it looks for several frames. */
const BOMB_PIXELS = 89_478_485;
const MAX_COLOURS = 256;

/** Samples of 8 bits pixel by pixel: gray, red-green-blue, or either with alpha; of gray of 16 bits all 16. */
type Samples = Uint8Array | Uint16Array;

/** A PNG file, turned upright as its orientation says. Throws Refused. */
export function loadPng(bytes: Uint8Array): Radiograph {
  const chunks = new PngChunks(bytes);
  const header = checkedHeader(chunks);
  checkSize(header.height, header.width);
  if (!chunks.hasPixels) throw corrupt("no pixels");
  const samples = readSamples(header, chunks);
  chunks.finish();
  const orientation = orientationOf(chunks.orientationSources);
  const [gray, share] = header.colourType === GRAY && header.depth === 16
    ? [stretched(samples), 0]
    : displayed(samples, header, chunks);
  refuseConstant(...rangeOf(gray));
  return {
    ...upright({ pixels: gray, height: header.height, width: header.width }, orientation),
    format: "png",
    bitsStored: bytes[25] === PALETTE ? 8 : bytes[24],
    facts: { modality: null, sopClass: null, bodyPart: null, viewPosition: "UNKNOWN", ageYears: null, colouredShare: share },
  };
}

function checkedHeader({ header, numFrames, palette, transparency }: PngChunks): PngHeader {
  const isKnown = header !== null && COLOUR_TYPES[header.colourType]?.depths.includes(header.depth);
  if (header === null || !isKnown || header.width < 1 || header.height < 1) throw corrupt("no sound header");
  if (header.height * header.width > BOMB_PIXELS) throw new Refused("too-large", `${header.width} x ${header.height} pixels`);
  if (numFrames > 1) throw new Refused("multi-frame", `${numFrames} frames; give a radiograph of one frame`);
  if (header.colourType === PALETTE && (palette?.length ?? 0) >= 3 * (MAX_COLOURS + 1)) throw corrupt("too many colours");
  const needed = header.colourType === RGB ? 6 : header.colourType === GRAY ? 2 : 0;
  if (transparency !== null && transparency.length < needed) throw corrupt("a tRNS chunk that is too short");
  return header;
}

/** All samples: of less than 8 bits spread over 0..255 (a palette's indices are not), of 16 the upper 8 but for gray. */
function readSamples(header: PngHeader, chunks: PngChunks): Samples {
  const { depth, colourType, width, height } = header;
  const numSamples = COLOUR_TYPES[colourType].samples;
  const isDeepGray = colourType === GRAY && depth === 16;
  const values = new (isDeepGray ? Uint16Array : Uint8Array)(numSamples * width * height);
  const scale = depth < 8 && colourType === GRAY ? 255 / ((1 << depth) - 1) : 1;
  const mask = (1 << Math.min(depth, 8)) - 1;
  const shape = { ...header, bitsPerPixel: depth * numSamples };
  readRows(shape, () => chunks.nextPixels(), (row, rowAt, first, step, count) => {
    let to = numSamples * (rowAt * width + first);
    for (let pixel = 0; pixel < count; pixel++, to += numSamples * step) {
      for (let sample = 0; sample < numSamples; sample++) {
        const index = pixel * numSamples + sample;
        if (depth < 8) {
          const bit = index * depth;
          values[to + sample] = ((row[bit >> 3] >> (8 - depth - (bit & 7))) & mask) * scale;
        } else if (isDeepGray) values[to + sample] = (row[2 * index] << 8) | row[2 * index + 1];
        else values[to + sample] = row[depth === 16 ? 2 * index : index];
      }
    }
  });
  return values;
}

/** Gray of 16 bits from its least to its greatest pixel. Throws Refused "constant". */
function stretched(values: Samples): Uint8Array {
  const [low, high] = rangeOf(values);
  refuseConstant(low, high);
  const table = Uint8Array.from({ length: high - low + 1 }, (_, above) => to8Bits(low + above, low, high));
  const gray = new Uint8Array(values.length);
  for (let at = 0; at < gray.length; at++) gray[at] = table[values[at] - low];
  return gray;
}

/** The gray shown over black, and the share of strongly coloured pixels. */
function displayed(samples: Samples, header: PngHeader, { palette, transparency }: PngChunks): [Uint8Array, number] {
  const { colourType, height, width } = header;
  const numPixels = height * width;
  const gray = new Uint8Array(numPixels);
  if (colourType === GRAY) {
    const hidden = transparency === null ? -1 : hiddenLevel(transparency, header.depth);
    for (let at = 0; at < numPixels; at++) gray[at] = samples[at] === hidden ? 0 : samples[at];
    return [gray, 0];
  }
  if (colourType === GRAY_ALPHA) {
    for (let at = 0; at < numPixels; at++) gray[at] = overBlack(samples[2 * at], samples[2 * at + 1]);
    return [gray, 0];
  }
  const colour = colourType === PALETTE ? paletteColours(samples, palette, transparency) : trueColours(samples, header, transparency);
  const { rgb, alpha } = colour;
  for (let at = 0, from = 0; at < numPixels; at++, from += 3) {
    const opacity = alpha === null ? 255 : alpha[at];
    gray[at] = luma(overBlack(rgb[from], opacity), overBlack(rgb[from + 1], opacity), overBlack(rgb[from + 2], opacity));
  }
  return [gray, colouredShare({ pixels: rgb, height, width })];
}

/** Pillow holds the level that is transparent against samples spread over 0..255, whatever its own scale. */
function hiddenLevel(transparency: Uint8Array, depth: number): number {
  if (depth === 1) return transparency[0] + transparency[1] > 0 ? 255 : 0;
  return transparency[1];
}

/** A level of some opacity over black, rounded as Pillow's alpha_composite. */
function overBlack(level: number, opacity: number): number {
  if (opacity === 255) return level;
  const product = (level * opacity + 0x80) << 7;
  return ((product >> 8) + product) >> 15;
}

interface Colours {
  rgb: Uint8Array;
  /** Null where all is opaque. */
  alpha: Uint8Array | null;
}

/** Colours of indices; black beyond the palette, as in Pillow. */
function paletteColours(indices: Samples, palette: Uint8Array | null, transparency: Uint8Array | null): Colours {
  if (transparency !== null && transparency.length > MAX_COLOURS) throw corrupt("too many transparent colours");
  const colours = new Uint8Array(3 * MAX_COLOURS);
  if (palette !== null) colours.set(palette.subarray(0, palette.length - (palette.length % 3)));
  const opacities = new Uint8Array(MAX_COLOURS).fill(255);
  if (transparency !== null) opacities.set(transparency);
  const [rgb, alpha] = [new Uint8Array(3 * indices.length), new Uint8Array(indices.length)];
  for (let at = 0; at < indices.length; at++) {
    for (let channel = 0; channel < 3; channel++) rgb[3 * at + channel] = colours[3 * indices[at] + channel];
    alpha[at] = opacities[indices[at]];
  }
  return { rgb, alpha: transparency === null ? null : alpha };
}

function trueColours(samples: Samples, { colourType }: PngHeader, transparency: Uint8Array | null): Colours {
  if (colourType === RGB) {
    const rgb = samples as Uint8Array;
    return { rgb, alpha: transparency === null ? null : hiddenColour(rgb, transparency) };
  }
  const numPixels = samples.length / 4;
  const [rgb, alpha] = [new Uint8Array(3 * numPixels), new Uint8Array(numPixels)];
  for (let at = 0; at < numPixels; at++) {
    for (let channel = 0; channel < 3; channel++) rgb[3 * at + channel] = samples[4 * at + channel];
    alpha[at] = samples[4 * at + 3];
  }
  return { rgb, alpha };
}

/** Opacity of each pixel: none of the colour that a tRNS chunk names by the lower bytes of its three samples. */
function hiddenColour(rgb: Uint8Array, transparency: Uint8Array): Uint8Array {
  const [red, green, blue] = [transparency[1], transparency[3], transparency[5]];
  const alpha = new Uint8Array(rgb.length / 3).fill(255);
  for (let at = 0; at < alpha.length; at++) {
    if (rgb[3 * at] === red && rgb[3 * at + 1] === green && rgb[3 * at + 2] === blue) alpha[at] = 0;
  }
  return alpha;
}
