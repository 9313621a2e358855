/** The stored pixels of a DICOM file's one frame, from any transfer syntax, as pydicom and its codecs give them. */
import { Refused } from "../types";
import { frameSize } from "./codestream";
import { type CompressedFrame, decodeJpeg2000, decodeJpegFrame, decodeJpegLs, decodeLosslessJpeg } from "./compressed_frames";
import type { Header } from "./dicom_header";
import { firstFrame } from "./fragments";
import { corrupt } from "./limits";
import { decodeRle } from "./rle";

const SENSES = new Set([
  ...["MONOCHROME1", "MONOCHROME2", "PALETTE COLOR", "RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT"],
  ...["HSV", "ARGB", "CMYK", "YBR_PARTIAL_422", "YBR_PARTIAL_420"],
]);
/** Transfer syntaxes of bare pixels; deflated files are inflated before. */
const NATIVE = new Set(["1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2"]);
const RLE = "1.2.840.10008.1.2.5";
type Decoder = (frame: Uint8Array, shape: FrameShape) => CompressedFrame | Promise<CompressedFrame>;
const CODECS: Record<string, Decoder> = {
  [RLE]: (frame, shape) => ({ ...rleFrame(frame, shape), isPlanar: true }),
  "1.2.840.10008.1.2.4.50": decodeJpegFrame,
  "1.2.840.10008.1.2.4.51": decodeJpegFrame,
  "1.2.840.10008.1.2.4.57": decodeLosslessJpeg,
  "1.2.840.10008.1.2.4.70": decodeLosslessJpeg,
  "1.2.840.10008.1.2.4.80": decodeJpegLs,
  "1.2.840.10008.1.2.4.81": decodeJpegLs,
  "1.2.840.10008.1.2.4.90": decodeJpeg2000,
  "1.2.840.10008.1.2.4.91": decodeJpeg2000,
  "1.2.840.10008.1.2.4.201": decodeJpeg2000,
  "1.2.840.10008.1.2.4.202": decodeJpeg2000,
  "1.2.840.10008.1.2.4.203": decodeJpeg2000,
};

/** What a header says of its frame. */
export interface FrameShape {
  height: number;
  width: number;
  numSamples: number;
  bitsAllocated: number;
  bitsStored: number;
  isSigned: boolean;
  sense: string;
  isPlanar: boolean;
}

/** Samples of one frame: the stored bits of gray pixels read unsigned, or 3 bytes of a colour pixel. */
export interface StoredPixels {
  samples: Uint8Array | Uint16Array;
  sense: string;
}

/** Nothing, when a transfer syntax can be read here. Throws Refused "unsupported-format". */
export function checkSyntax(syntax: string): void {
  if (!NATIVE.has(syntax) && !Object.hasOwn(CODECS, syntax)) {
    throw new Refused("unsupported-format", `transfer syntax ${syntax} is not read; export it uncompressed`);
  }
}

/** The samples. Throws Refused. */
export async function storedPixels(header: Header, syntax: string, value: Uint8Array): Promise<StoredPixels> {
  if (NATIVE.has(syntax)) return nativePixels(header, shapeOf(header, true), value);
  const frame = firstFrame(value);
  const size = frameSize(frame);
  const shape = shapeOf(header, false);
  if (size !== null && (size[0] !== shape.height || size[1] !== shape.width)) {
    throw corrupt(`the compressed frame is ${size[1]} x ${size[0]} pixels, the header says ${shape.width} x ${shape.height}`);
  }
  const decoded = await CODECS[syntax](frame, shape);
  if (decoded.samples.length !== shape.height * shape.width * shape.numSamples) {
    throw corrupt(`${decoded.samples.length} samples in the compressed frame`);
  }
  const samples = decoded.isPlanar && shape.numSamples > 1 ? interleaved(decoded.samples) : decoded.samples;
  return { samples: masked(samples, shape), sense: decoded.sense ?? shape.sense };
}

/** The header's frame, under the conditions under which pydicom decodes it. Throws Refused "corrupt". */
function shapeOf(header: Header, isNative: boolean): FrameShape {
  const [numSamples, bitsAllocated] = [header.whole("SamplesPerPixel"), header.whole("BitsAllocated")];
  const [sense, sign] = [header.text("PhotometricInterpretation") ?? "", header.whole("PixelRepresentation")];
  if (![1, 3].includes(numSamples)) throw corrupt(`${numSamples} samples a pixel`);
  if (bitsAllocated % 8 !== 0 && !(bitsAllocated === 1 && isNative)) throw corrupt(`${bitsAllocated} bits allocated`);
  if (sign !== 0 && sign !== 1) throw corrupt(`pixel representation ${sign}`);
  if (!SENSES.has(sense)) throw corrupt(`photometric interpretation ${sense}`);
  if (header.has("NumberOfFrames") && (header.number("NumberOfFrames") ?? 1) < 0) throw corrupt("fewer than no frames");
  const planar = numSamples === 3 ? header.whole("PlanarConfiguration") : 0;
  if (planar !== 0 && planar !== 1) throw corrupt(`planar configuration ${planar}`);
  return {
    height: header.whole("Rows"),
    width: header.whole("Columns"),
    bitsStored: header.whole("BitsStored"),
    ...{ numSamples, bitsAllocated, sense, isSigned: sign === 1, isPlanar: planar === 1 },
  };
}

function nativePixels(header: Header, shape: FrameShape, value: Uint8Array): StoredPixels {
  const numValues = shape.height * shape.width * shape.numSamples;
  const is422 = shape.sense === "YBR_FULL_422";
  const whole = shape.bitsAllocated === 1 ? numValues / 8 : numValues * (shape.bitsAllocated / 8);
  const needed = Math.ceil(is422 ? Math.floor(whole / 3) * 2 : whole);
  if (value.length < needed) throw corrupt(`${value.length} bytes of pixels instead of ${needed}`);
  if (is422 && value.length >= Math.floor(needed / 2) * 3) throw corrupt("YBR_FULL_422 with all its samples");
  const isSwapped = !header.isLittleEndian && shape.bitsAllocated === 8 && header.vr("PixelData") === "OW";
  const bytes = isSwapped ? pairsSwapped(value, needed) : value.subarray(0, needed);
  const samples = is422 ? upsampled(bytes) : unpacked(bytes, shape, numValues, header.isLittleEndian);
  const isPlanar = shape.isPlanar && shape.numSamples > 1;
  return { samples: masked(isPlanar ? interleaved(samples) : samples, shape), sense: is422 ? "YBR_FULL" : shape.sense };
}

function unpacked(bytes: Uint8Array, shape: FrameShape, count: number, isLittleEndian: boolean): Uint8Array | Uint16Array {
  if (shape.bitsAllocated === 8) return bytes;
  if (shape.bitsAllocated === 16) return words(bytes, isLittleEndian);
  const values = new Uint8Array(count);
  for (let at = 0; at < count; at++) values[at] = (bytes[at >> 3] >> (at & 7)) & 1;
  return values;
}

/** Pairs of bytes as numbers of 16 bits. */
function words(bytes: Uint8Array, isLittleEndian: boolean): Uint16Array {
  const values = new Uint16Array(bytes.length >> 1);
  const [low, high] = isLittleEndian ? [0, 1] : [1, 0];
  for (let at = 0; at < values.length; at++) values[at] = bytes[2 * at + low] | (bytes[2 * at + high] << 8);
  return values;
}

/** Bytes written as words of the other byte order. Throws Refused "corrupt" where the last word is half. */
function pairsSwapped(value: Uint8Array, needed: number): Uint8Array {
  const padded = needed + (needed % 2);
  if (value.length < padded) throw corrupt("half a word of pixels");
  const swapped = new Uint8Array(needed);
  for (let at = 0; at < needed; at++) swapped[at] = value[at ^ 1];
  return swapped;
}

/** Both pixels of Y1 Y2 B R get the pair's colour (PS3.3 C.7.6.3.1.2). */
function upsampled(bytes: Uint8Array): Uint8Array {
  const samples = new Uint8Array((bytes.length >> 2) * 6);
  for (let pair = 0; 4 * pair + 3 < bytes.length; pair++) {
    const [first, second, blue, red] = bytes.subarray(4 * pair, 4 * pair + 4);
    samples.set([first, blue, red, second, blue, red], 6 * pair);
  }
  return samples;
}

/** Three planes pixel by pixel. */
function interleaved(planes: Uint8Array | Uint16Array): Uint8Array | Uint16Array {
  const [numPixels, pixels] = [planes.length / 3, planes.slice()];
  for (let channel = 0; channel < 3; channel++) {
    for (let at = 0; at < numPixels; at++) pixels[3 * at + channel] = planes[channel * numPixels + at];
  }
  return pixels;
}

/** The stored bits alone: what is above them is not the image's (PS3.5, 8.1.1). */
function masked(samples: Uint8Array | Uint16Array, { bitsStored }: FrameShape): Uint8Array | Uint16Array {
  const mask = (1 << bitsStored) - 1;
  if (8 * samples.BYTES_PER_ELEMENT === bitsStored) return samples;
  const stored = samples.slice();
  for (let at = 0; at < stored.length; at++) stored[at] &= mask;
  return stored;
}

function rleFrame(frame: Uint8Array, { height, width, numSamples, bitsAllocated }: FrameShape): CompressedFrame {
  const bytes = decodeRle(frame, height * width, numSamples, bitsAllocated / 8);
  return { samples: bitsAllocated === 8 ? bytes : words(bytes, true) };
}
