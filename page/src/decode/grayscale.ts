/**
 * From stored DICOM values to shown gray (PS3.3 C.11, PS3.4 N.2), as one table; pocketcxr.imaging.grayscale in
 * TypeScript, where the choices are explained.
 */
import { Refused } from "../types";
import type { Header } from "./dicom_header";
import { corrupt, rangeOf, refuseConstant, to8Bits } from "./limits";

/** Values after the VOI transform, and which of them stand for the ends of the gray scale. */
interface Shown {
  values: Float64Array;
  black: number;
  white: number;
}

/** Gray of each stored code (its bits read unsigned), bright = more attenuation. `isPresent`: what the image holds. */
export function displayTable(header: Header, isPresent: Uint8Array): Uint8Array {
  const bits = header.whole("BitsStored");
  const stored = Float64Array.from({ length: 1 << bits }, (_, code) => code);
  if ((header.number("PixelRepresentation") ?? 0) === 1) {
    for (let code = 1 << (bits - 1); code < stored.length; code++) stored[code] -= 1 << bits;
  }
  const isPadding = paddingOf(header, stored);
  const values = modality(header, stored);
  const counts = (_: number, code: number): boolean => isPadding[code] === 0 && (bits <= 8 || isPresent[code] === 1);
  const shown = voi(header, values, values.filter(counts));
  // PS3.3 C.7.6.3.1.2: the least sample of MONOCHROME1 is shown white after any VOI transform.
  const isInverted = header.text("PhotometricInterpretation") === "MONOCHROME1";
  const [black, white] = isInverted ? [shown.white, shown.black] : [shown.black, shown.white];
  return Uint8Array.from(shown.values, (value, code) => (isPadding[code] === 1 ? 0 : to8Bits(value, black, white)));
}

/** A value through a window as 0..1 (PS3.3 C.11.2.1.2, C.11.2.1.3). Throws Refused "corrupt" outside the standard. */
export function windowed(center: number, width: number, law: string): (value: number) => number {
  const clipped = (value: number): number => Math.min(Math.max(value, 0), 1);
  if (!(width >= (law === "LINEAR" ? 1 : Number.MIN_VALUE))) throw corrupt(`window width ${width}`);
  switch (law) {
    case "LINEAR":
      if (width === 1) return (value) => (value > center - 0.5 ? 1 : 0);
      return (value) => clipped((value - (center - 0.5)) / (width - 1) + 0.5);
    case "LINEAR_EXACT":
      return (value) => clipped((value - center) / width + 0.5);
    case "SIGMOID":
      return (value) => 1 / (1 + Math.exp(Math.min(Math.max((-4 * (value - center)) / width, -700), 700)));
    default:
      throw corrupt(`VOI LUT function ${law}`);
  }
}

function modality(header: Header, stored: Float64Array): Float64Array {
  const item = header.firstItem("ModalityLUTSequence");
  if (item !== null) return lookup(header, item, stored).values;
  const slope = header.number("RescaleSlope") ?? 1;
  const intercept = header.number("RescaleIntercept") ?? 0;
  return stored.map((value) => value * slope + intercept);
}

function voi(header: Header, values: Float64Array, shown: Float64Array): Shown {
  if (shown.length === 0) throw new Refused("constant", "every pixel is padding");
  const item = header.firstItem("VOILUTSequence");
  if (item !== null) {
    const { values: entries, depth } = lookup(header, item, values);
    return { values: entries, black: 0, white: 2 ** depth - 1 };
  }
  const [center, width] = [header.first("WindowCenter"), header.first("WindowWidth")];
  if (center !== null && width !== null) {
    const law = header.text("VOILUTFunction")?.trim().toUpperCase() || "LINEAR";
    return { values: values.map(windowed(center, width, law)), black: 0, white: 1 };
  }
  const [low, high] = rangeOf(shown);
  refuseConstant(low, high);
  return { values, black: low, white: high };
}

/** Values through a LUT (PS3.3 C.11.1.1) and the bits of its entries; beyond its ends the end's entry counts. */
function lookup(header: Header, item: Header, values: Float64Array): { values: Float64Array; depth: number } {
  const descriptor = item.numbers("LUTDescriptor");
  if (descriptor.length !== 3) throw corrupt(`a LUT descriptor of ${descriptor.length} numbers`);
  const [first, depth] = descriptor.slice(1);
  const numEntries = descriptor[0] === 0 ? 1 << 16 : descriptor[0];
  const entries = entriesOf(header, item, numEntries);
  if (depth < 1 || numEntries < 1 || entries.length < numEntries) {
    throw corrupt(`a LUT of ${numEntries} entries of ${depth} bits holds ${entries.length}`);
  }
  const place = (value: number): number => Math.min(Math.max(roundedToEven(value) - first, 0), numEntries - 1);
  return { values: values.map((value) => entries[place(value)]), depth };
}

/** Entries of 8 or 16 bits: a byte each where there are too few bytes for 16 bits. */
function entriesOf(header: Header, item: Header, numEntries: number): ArrayLike<number> {
  const data = item.bytes("LUTData");
  if (data === null) throw corrupt("a LUT without data");
  const vr = item.vr("LUTData");
  if (vr === "US" || vr === "SS") return item.numbers("LUTData").map((entry) => entry & 0xffff);
  if (data.length < 2 * numEntries) return data;
  if (data.length % 2 === 1) throw corrupt("a LUT of half an entry");
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  return Uint16Array.from({ length: data.length / 2 }, (_, at) => view.getUint16(2 * at, header.isLittleEndian));
}

function roundedToEven(value: number): number {
  const below = Math.floor(value);
  const isHalf = value - below === 0.5;
  return isHalf ? below + (Math.abs(below) % 2) : Math.round(value);
}

/** 1 where a value is no part of the image: Pixel Padding Value up to its Range Limit (PS3.3 C.7.5.1.1.2). */
function paddingOf(header: Header, stored: Float64Array): Uint8Array {
  const padding = header.number("PixelPaddingValue");
  if (padding === null) return new Uint8Array(stored.length);
  const limit = header.number("PixelPaddingRangeLimit") ?? padding;
  const [low, high] = [Math.min(padding, limit), Math.max(padding, limit)];
  return Uint8Array.from(stored, (value) => (value >= low && value <= high ? 1 : 0));
}
