/** A JPEG file's header up to its first scan, as Pillow reads it (ITU-T T.81, annex B), and where its scans end. */
import { ByteReader, latin1 } from "./byte_reader";
import type { OrientationSources } from "./exif";
import { joined } from "./inflate";
import { corrupt } from "./limits";

const [EOI, SOS, DQT, DRI, DHP] = [0xd9, 0xda, 0xdb, 0xdd, 0xde];
const [APP0, APP1, APP14, COM] = [0xe0, 0xe1, 0xee, 0xfe];
/** Markers from C0 on that stand alone or are not known to carry a segment. */
const isAlone = (marker: number): boolean =>
  marker === 0xc8 || (marker >= 0xd0 && marker <= EOI) || (marker >= 0xf0 && marker <= 0xfd);
const isFrame = (marker: number): boolean =>
  (marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker)) || marker === DHP;

/** What the header says. */
export interface JpegHeader {
  height: number;
  width: number;
  numComponents: number;
  /** Whether a scan's start was found. */
  hasScan: boolean;
  orientation: OrientationSources;
  /** Whether the file's EXIF data must be sound; where they alone say the resolution, Pillow forgives what is wrong. */
  isExifStrict: boolean;
}

/** The header of a JPEG file. Throws Refused "corrupt" where Pillow finds none. */
export function readJpegHeader(bytes: Uint8Array): JpegHeader {
  const reader = new ByteReader(bytes, 2);
  const size = { height: 0, width: 0, numComponents: 0 };
  const header: JpegHeader = { ...size, hasScan: false, orientation: { exif: null, xmp: null }, isExifStrict: false };
  const exif: Uint8Array[] = [];
  while (!header.hasScan) {
    const marker = nextMarker(reader);
    if (marker === null) break;
    if (marker < 0xc0) throw corrupt("a marker that is none");
    if (isAlone(marker)) continue;
    const segment = reader.take(Math.max(reader.uint16() - 2, 0));
    if (isFrame(marker)) readFrame(segment, header);
    else if (marker === DQT) checkQuantization(segment);
    else if (marker >= APP0 && marker < COM) readApplication(marker, segment, exif, header);
    header.hasScan = marker === SOS;
  }
  if (exif.length > 0) header.orientation.exif = joined(exif);
  if (Math.min(header.height, header.width) < 1) throw corrupt("no frame header");
  return header;
}

/** The next marker's second byte, junk before it passed over; null at the end. */
function nextMarker(reader: ByteReader): number | null {
  while (reader.left > 0) {
    if (reader.uint8() !== 0xff) continue;
    while (reader.left > 0) {
      const code = reader.uint8();
      if (code === 0) break;
      if (code !== 0xff) return code;
    }
  }
  return null;
}

function readFrame(segment: Uint8Array, header: JpegHeader): void {
  if (segment.length < 6) throw corrupt("a frame header that is too short");
  if (segment[0] !== 8) throw corrupt(`samples of ${segment[0]} bits`);
  const [numComponents, view] = [segment[5], new DataView(segment.buffer, segment.byteOffset)];
  if (![1, 3, 4].includes(numComponents) || segment.length % 3 !== 0) throw corrupt(`${numComponents} components`);
  [header.height, header.width, header.numComponents] = [view.getUint16(1), view.getUint16(3), numComponents];
}

/** Nothing, when a segment holds whole tables of 64 values of one or two bytes. */
function checkQuantization(segment: Uint8Array): void {
  let at = 0;
  while (at < segment.length) at += 1 + 64 * (segment[at] >> 4 === 0 ? 1 : 2);
  if (at !== segment.length) throw corrupt("a quantization table that is too short");
}

function readApplication(marker: number, segment: Uint8Array, exif: Uint8Array[], header: JpegHeader): void {
  const start = latin1(segment.subarray(0, 29));
  const isJfif = marker === APP0 && start.startsWith("JFIF");
  if ((isJfif || (marker === APP14 && start.startsWith("Adobe"))) && segment.length < 7) throw corrupt("a short header");
  if (isJfif && segment.length >= 12 && (segment[7] === 1 || segment[7] === 2)) header.isExifStrict = true;
  if (marker !== APP1) return;
  if (start.startsWith("Exif\0\0")) exif.push(exif.length === 0 ? segment : segment.subarray(6));
  else if (start === "http://ns.adobe.com/xap/1.0/\0") header.orientation.xmp = latin1(segment.subarray(29));
}

/** How many scans start, counted as Python counts them: by FF DA anywhere in the file. */
export function countScans(bytes: Uint8Array): number {
  let count = 0;
  for (let at = bytes.indexOf(0xff); at >= 0 && at + 1 < bytes.length; at = bytes.indexOf(0xff, at + 1)) {
    if (bytes[at + 1] === SOS) count++;
  }
  return count;
}

/** A JPEG stream that libjpeg reads without a complaint about its header. */
export interface TidyJpeg {
  bytes: Uint8Array;
  /** Whether an end marker follows the scans. */
  isEnded: boolean;
  numScans: number;
  /** Whether one scan may not be all: it leaves out components, or the frame is progressive. */
  mayHaveScans: boolean;
}

/** Markers that end libjpeg's patience wherever they stand, but within scans that can be taken up again. */
const isUnknown = (marker: number): boolean =>
  (marker > 0x01 && marker < 0xc0) || [0xc8, DHP, 0xdf].includes(marker) || (marker >= 0xf0 && marker <= 0xfd);

/** The stream without what stands between its header's segments, and what is seen of its scans. Throws Refused. */
export function tidied(bytes: Uint8Array): TidyJpeg {
  const reader = new ByteReader(bytes, 2);
  const parts = [bytes.subarray(0, 2)];
  let [numScans, numComponents, mayHaveScans, hasRestarts] = [0, 0, false, false];
  for (let marker = nextMarker(reader); marker !== null && marker !== EOI; marker = nextMarker(reader)) {
    const start = reader.at - 2;
    hasRestarts ||= marker === DRI;
    if (isUnknown(marker) && !hasRestarts) throw corrupt("a marker that is none");
    if (!isAlone(marker) && marker >= 0xc0 && reader.left >= 8) {
      const length = reader.view.getUint16(reader.at);
      if (length > reader.left) break;
      if (isFrame(marker)) {
        numComponents = reader.bytes[reader.at + 7];
        mayHaveScans ||= (marker & 3) === 2;
      }
      if (marker === SOS && numScans++ === 0) {
        mayHaveScans ||= reader.bytes[reader.at + 2] < numComponents;
        parts.push(bytes.subarray(start));
      }
      reader.at += Math.max(length, 2);
    }
    if (numScans === 0) parts.push(bytes.subarray(start, reader.at));
  }
  const isEnded = reader.at >= 2 && bytes[reader.at - 1] === EOI && bytes[reader.at - 2] === 0xff;
  return { bytes: joined(parts), isEnded, numScans, mayHaveScans };
}
