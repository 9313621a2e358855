/**
 * The data elements of a DICOM file (PS3.5 section 7, PS3.10 section 7), read as pydicom reads them: values that the
 * file's end cuts short are kept as they are, and sequences are passed over unless asked for.
 */
import { ByteReader, latin1 } from "./byte_reader";
import { corrupt } from "./limits";

const UNDEFINED_LENGTH = 0xffffffff;
const [ITEM, ITEM_END, SEQUENCE_END] = [0xfffee000, 0xfffee00d, 0xfffee0dd];
export const PIXEL_DATA = 0x7fe00010;
const PIXEL_TAGS = new Set([0x7fe00008, 0x7fe00009, PIXEL_DATA]);
const LONG_VRS = new Set(["OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"]);
const SHORT_VRS = new Set([
  ...["AE", "AS", "AT", "CS", "DA", "DS", "DT", "FD", "FL", "IS", "LO", "LT", "PN", "SH", "SL", "SS", "ST", "TM", "UI"],
  ...["UL", "US"],
]);
/** Sequences within sequences; Python gives up where its stack ends, a little deeper. */
const MAX_DEPTH = 200;

/** How data elements are written. */
export interface Encoding {
  isImplicit: boolean;
  isLittleEndian: boolean;
}

export interface DataElement {
  /** Null where the encoding does not write it. */
  vr: string | null;
  value: Uint8Array;
  /** The encoding of what a sequence holds. */
  encoding: Encoding;
}

export type Elements = Map<number, DataElement>;

/** Thrown where a value of undefined length has no end: pydicom then has read nothing at all. */
export class EndlessValue extends Error {}

/** The encoding of a data set as its first element shows it, whatever the file says. */
export function foundEncoding(reader: ByteReader, claimed: Encoding): Encoding {
  if (reader.left < 6) return claimed;
  const isLetter = (at: number): boolean => reader.bytes[at] > 0x40 && reader.bytes[at] < 0x5b;
  return { ...claimed, isImplicit: !(isLetter(reader.at + 4) && isLetter(reader.at + 5)) };
}

/** Adds the elements of the file meta information (PS3.10, 7.1) and leaves the reader behind them. */
export function readMeta(reader: ByteReader, elements: Elements): void {
  const encoding = foundEncoding(reader, { isImplicit: false, isLittleEndian: true });
  reader.isLittleEndian = true;
  readElements(reader, encoding, elements, (tag) => Math.floor(tag / 0x10000) !== 2);
}

/** Adds the elements up to the pixels, and leaves the reader there or at the end. */
export function readUpToPixels(reader: ByteReader, encoding: Encoding, elements: Elements): void {
  reader.isLittleEndian = encoding.isLittleEndian;
  readElements(reader, encoding, elements, (tag) => PIXEL_TAGS.has(tag));
}

/** Adds the elements from the reader's place to the end of the data set. Throws EndlessValue. */
export function readRest(reader: ByteReader, encoding: Encoding, elements: Elements): void {
  readElements(reader, encoding, elements, () => false);
}

/** The items of a sequence. Throws Refused "corrupt". */
export function itemsOf(sequence: DataElement): Elements[] {
  const reader = new ByteReader(sequence.value, 0, sequence.encoding.isLittleEndian);
  return readItems(reader, sequence.encoding, sequence.value.length, 0);
}

function readElements(
  reader: ByteReader,
  encoding: Encoding,
  elements: Elements,
  isEnd: (tag: number) => boolean,
  end = Number.POSITIVE_INFINITY,
  depth = 0,
): void {
  while (reader.at < end && reader.left >= 8) {
    const start = reader.at;
    const { tag, vr, length } = elementHeader(reader, encoding);
    if (tag === ITEM_END) return;
    if (isEnd(tag)) {
      reader.at = start;
      return;
    }
    const from = reader.at;
    const to = length === UNDEFINED_LENGTH ? endOfUndefined(reader, encoding, vr, depth) : from + length;
    elements.set(tag, { vr, value: reader.bytes.subarray(from, to), encoding });
    if (length !== UNDEFINED_LENGTH) reader.at = Math.min(to, reader.bytes.length);
  }
}

function elementHeader(reader: ByteReader, { isImplicit }: Encoding): { tag: number; vr: string | null; length: number } {
  const tag = reader.uint16() * 0x10000 + reader.uint16();
  if (isImplicit) return { tag, vr: null, length: reader.uint32() };
  const vr = latin1(reader.bytes.subarray(reader.at, reader.at + 2));
  const isKnown = LONG_VRS.has(vr) || SHORT_VRS.has(vr);
  // Some writers change to implicit VR within a file; two capitals that are no VR are taken for a short one.
  if (!isKnown && !(vr >= "AA" && vr <= "ZZ")) return { tag, vr: null, length: reader.uint32() };
  reader.at += 2;
  const length = reader.uint16();
  return { tag, vr, length: LONG_VRS.has(vr) ? reader.uint32() : length };
}

/** Where a value of undefined length ends; the reader is left behind its delimiter. */
function endOfUndefined(reader: ByteReader, encoding: Encoding, vr: string | null, depth: number): number {
  const isSequence = vr === "SQ" || vr === "UN" || (vr === null && nextTag(reader) === ITEM && !looksEncapsulated(reader));
  if (!isSequence) return endOfFragments(reader);
  readItems(reader, encoding, null, depth + 1);
  return reader.at - 8;
}

/** Fragments of compressed pixels begin with an offset table, whose length is a multiple of 4; implicit VR has none. */
function looksEncapsulated(reader: ByteReader): boolean {
  return reader.left >= 8 && reader.at >= 8 && tagAt(reader, reader.at - 8) === PIXEL_DATA;
}

function nextTag(reader: ByteReader): number {
  return reader.left < 4 ? 0 : tagAt(reader, reader.at);
}

function tagAt({ view, isLittleEndian }: ByteReader, at: number): number {
  return view.getUint16(at, isLittleEndian) * 0x10000 + view.getUint16(at + 2, isLittleEndian);
}

/** Items up to `numBytes` of them, or up to the sequence's delimiter where that is null. */
function readItems(reader: ByteReader, encoding: Encoding, numBytes: number | null, depth: number): Elements[] {
  if (depth > MAX_DEPTH) throw corrupt("sequences within sequences without end");
  const items: Elements[] = [];
  const end = numBytes === null ? Number.POSITIVE_INFINITY : reader.at + numBytes;
  while (reader.at < end) {
    const tag = reader.uint16() * 0x10000 + reader.uint16();
    const length = reader.uint32();
    if (tag === SEQUENCE_END) break;
    const elements: Elements = new Map();
    const itemEncoding = encoding.isImplicit ? encoding : foundEncoding(reader, encoding);
    const itemEnd = length === UNDEFINED_LENGTH ? Number.POSITIVE_INFINITY : reader.at + length;
    readElements(reader, itemEncoding, elements, () => false, itemEnd, depth);
    items.push(elements);
  }
  return items;
}

/** Where fragments end; without any, where the next sequence delimiter stands. Throws EndlessValue. */
function endOfFragments(reader: ByteReader): number {
  const from = reader.at;
  let at = from;
  while (at + 8 <= reader.bytes.length && tagAt(reader, at) === ITEM) {
    at += 8 + reader.view.getUint32(at + 4, reader.isLittleEndian);
  }
  const isWellFormed = at + 4 <= reader.bytes.length && tagAt(reader, at) === SEQUENCE_END;
  const end = isWellFormed ? at : searchedEnd(reader, from);
  reader.at = Math.min(end + 8, reader.bytes.length);
  return end;
}

function searchedEnd(reader: ByteReader, from: number): number {
  const first = reader.isLittleEndian ? 0xfe : 0xff;
  for (let at = reader.bytes.indexOf(first, from); at >= 0; at = reader.bytes.indexOf(first, at + 1)) {
    if (at + 4 <= reader.bytes.length && tagAt(reader, at) === SEQUENCE_END) return at;
  }
  throw new EndlessValue("a value of undefined length without an end");
}
