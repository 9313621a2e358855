/** Single-frame DICOM images as shown: modality, VOI and presentation applied; pocketcxr.imaging.dicom in TypeScript. */
import { type Radiograph, Refused } from "../types";
import { ByteReader } from "./byte_reader";
import { luma } from "./colour";
import { type Elements, type Encoding, EndlessValue, foundEncoding, readMeta, readRest, readUpToPixels } from "./dicom_elements";
import { factsOf } from "./dicom_facts";
import { Header } from "./dicom_header";
import { displayTable } from "./grayscale";
import { inflated } from "./inflate";
import { MAX_PIXELS, checkSize, corrupt, rangeOf, refuseConstant } from "./limits";
import { type StoredPixels, checkSyntax, storedPixels } from "./stored_pixels";

/** Preamble, DICM and the group length's own element come before what the group length counts (PS3.10, table 7.1-1). */
const META_START = 144;
const META_ELEMENTS_START = 132;
/** Uncompressed colour of 8 bits, and room for a header: a small file may inflate to any size. */
const MAX_INFLATED_BYTES = 3 * MAX_PIXELS + (1 << 24);
const IMPLICIT = "1.2.840.10008.1.2";
const DEFLATED = "1.2.840.10008.1.2.1.99";
const BIG_ENDIAN = "1.2.840.10008.1.2.2";
const META_ENCODING: Encoding = { isImplicit: false, isLittleEndian: true };

/** The one frame of a DICOM file. Throws Refused. */
export async function loadDicom(bytes: Uint8Array): Promise<Radiograph> {
  const metaElements: Elements = new Map();
  const metaReader = new ByteReader(bytes, META_ELEMENTS_START, true);
  readMeta(metaReader, metaElements);
  const meta = new Header(metaElements, META_ENCODING);
  // pydicom looks at it in every file: half a number is damage.
  meta.numbers("FileMetaInformationGroupLength");
  const syntax = meta.text("TransferSyntaxUID");
  const reader = syntax === DEFLATED ? new ByteReader(inflatedData(bytes, meta)) : metaReader;
  const isLittleEndian = syntax === null ? !looksBigEndian(reader) : syntax !== BIG_ENDIAN;
  const encoding = foundEncoding(reader, { isImplicit: syntax === IMPLICIT, isLittleEndian });
  const elements: Elements = new Map();
  readUpToPixels(reader, encoding, elements);
  const header = new Header(elements, encoding);
  check(header, syntax);
  const facts = factsOf(header);
  readPixels(reader, encoding, elements);
  const value = header.bytes("PixelData");
  if (value === null || syntax === null) throw new Refused("not-an-image", "DICOM without pixel data");
  const gray = shown(header, await storedPixels(header, syntax, value));
  refuseConstant(...rangeOf(gray));
  return {
    ...{ pixels: gray, height: header.whole("Rows"), width: header.whole("Columns"), format: "dicom" },
    ...{ bitsStored: header.whole("BitsStored"), facts },
  };
}

/** Whether the first element's group would be one of the last ones, were it little endian; of files that do not say. */
function looksBigEndian(reader: ByteReader): boolean {
  return reader.left >= 8 && !foundEncoding(reader, META_ENCODING).isImplicit && reader.bytes[reader.at + 1] >= 4;
}

function readPixels(reader: ByteReader, encoding: Encoding, elements: Elements): void {
  try {
    readRest(reader, encoding, elements);
  } catch (error) {
    if (error instanceof EndlessValue) throw new Refused("not-an-image", "DICOM without pixel data that end");
    throw error;
  }
}

/** The data set of a deflated file. Throws Refused "too-large" beyond the bound. */
function inflatedData(bytes: Uint8Array, meta: Header): Uint8Array {
  const start = META_START + meta.whole("FileMetaInformationGroupLength");
  const data = inflated(bytes.subarray(start), MAX_INFLATED_BYTES, true);
  if (data === "too-large") throw new Refused("too-large", `inflates to more than ${MAX_INFLATED_BYTES} bytes`);
  if (data === "damaged") throw corrupt("deflated data that is none");
  return data;
}

/** Refuses by the header what would be slow, dangerous or wrong to decode. */
function check(header: Header, syntax: string | null): void {
  if (!header.has("Rows") || !header.has("Columns")) throw new Refused("not-an-image", "DICOM without an image");
  const numFrames = Math.trunc(header.number("NumberOfFrames") ?? 1);
  if (numFrames > 1) throw new Refused("multi-frame", `${numFrames} frames; give a radiograph of one frame`);
  checkSize(header.whole("Rows"), header.whole("Columns"));
  const numSamples = header.number("SamplesPerPixel") || 1;
  const [bitsAllocated, bitsStored] = [header.whole("BitsAllocated"), header.whole("BitsStored")];
  const sense = header.text("PhotometricInterpretation");
  if (sense === null) throw corrupt("no photometric interpretation");
  const isKnownDepth = bitsStored >= 1 && bitsStored <= bitsAllocated && bitsAllocated <= 16;
  const isGray = numSamples === 1 && ["MONOCHROME1", "MONOCHROME2"].includes(sense) && isKnownDepth;
  const isColour = numSamples === 3 && bitsAllocated === 8 && bitsStored === 8;
  if (!isGray && !isColour) {
    throw new Refused("unsupported-format", `${sense} of ${numSamples} x ${bitsStored} in ${bitsAllocated} bits is not read`);
  }
  if (syntax === null) throw corrupt("no transfer syntax");
  checkSyntax(syntax);
}

function shown(header: Header, { samples, sense }: StoredPixels): Uint8Array {
  if (header.number("SamplesPerPixel") === 3) return grayOfColour(samples, sense.startsWith("YBR_FULL"));
  const isPresent = new Uint8Array(1 << header.whole("BitsStored"));
  for (let at = 0; at < samples.length; at++) isPresent[samples[at]] = 1;
  const table = displayTable(header, isPresent);
  const gray = new Uint8Array(samples.length);
  for (let at = 0; at < samples.length; at++) gray[at] = table[samples[at]];
  return gray;
}

function grayOfColour(samples: ArrayLike<number>, isLumaChroma: boolean): Uint8Array {
  const gray = new Uint8Array(samples.length / 3);
  for (let at = 0, from = 0; at < gray.length; at++, from += 3) {
    const [first, second, third] = [samples[from], samples[from + 1], samples[from + 2]];
    gray[at] = isLumaChroma ? luma(...rgbOf(first, second - 128, third - 128)) : luma(first, second, third);
  }
  return gray;
}

const single = Math.fround;
/** How much blue and red take from green. */
const [BLUE_IN_GREEN, RED_IN_GREEN] = [single((-0.114 * 1.772) / 0.587), single((-0.299 * 1.402) / 0.587)];
const [BLUE, RED] = [single(1.772), single(1.402)];

/** Red, green and blue of YBR_FULL (PS3.3 C.7.6.3.1.2), in floats of 32 bits as pydicom has them. */
function rgbOf(brightness: number, blue: number, red: number): [number, number, number] {
  const level = (value: number): number => Math.min(Math.max(Math.floor(single(single(value) + 0.5)), 0), 255);
  const green = single(brightness + BLUE_IN_GREEN * blue) + RED_IN_GREEN * red;
  return [level(brightness + RED * red), level(green), level(brightness + BLUE * blue)];
}
