/**
 * A PNG file's chunks (PNG specification, 5 and 11), as Pillow reads them: what it refuses is refused, what it lets
 * pass passes. Checksums are looked at before the pixels and not in or behind them.
 */
import { ByteReader, latin1 } from "./byte_reader";
import type { OrientationSources } from "./exif";
import { corrupt } from "./limits";
import { TextChunks } from "./png_text";

const SIGNATURE_BYTES = 8;
/** Chunks that must be at least so long. */
const MIN_BYTES: Record<string, number> = { IHDR: 13, gAMA: 4, cHRM: 32, sRGB: 1, pHYs: 9, acTL: 8, fcTL: 26, fdAT: 4 };
const MAX_FRAMES = 0x80000000;
/** Pillow gives zlib no more than this at a time. */
const MAX_PIECE_BYTES = 1 << 16;

/** A file's header. */
export interface PngHeader {
  width: number;
  height: number;
  depth: number;
  colourType: number;
  isInterlaced: boolean;
}

/** The chunks of one file, read as far as asked for. */
export class PngChunks {
  header: PngHeader | null = null;
  palette: Uint8Array | null = null;
  /** The tRNS chunk. */
  transparency: Uint8Array | null = null;
  numFrames = 1;
  hasPixels = false;
  private readonly reader: ByteReader;
  private readonly text = new TextChunks();
  private exif: Uint8Array | null = null;
  private claimedFrames: number | null = null;
  private sequence: number | null = null;
  private pixelBytesLeft = 0;

  /** Reads up to the first pixels. Throws Refused "corrupt". */
  constructor(bytes: Uint8Array) {
    this.reader = new ByteReader(bytes, SIGNATURE_BYTES);
    while (true) {
      const { type, length } = this.chunkHeader();
      if (type === "IEND") break;
      if (this.isPixels(type, length)) {
        this.hasPixels = true;
        break;
      }
      const data = this.reader.take(length);
      this.handle(type, data);
      if (checksum(type, data) !== this.reader.uint32()) throw corrupt(`wrong checksum of ${type}`);
    }
    this.numFrames = (this.claimedFrames ?? 1) + (this.claimedFrames !== null && this.isDefaultApart() ? 1 : 0);
  }

  get orientationSources(): OrientationSources {
    return { exif: this.exif ?? this.text.exif, xmp: this.text.xmp };
  }

  /** The next piece of compressed pixels; null where the row of pixel chunks ends. Throws Refused "corrupt". */
  nextPixels(): Uint8Array | null {
    while (this.pixelBytesLeft === 0) {
      this.reader.at += 4; // its checksum
      const from = this.reader.at;
      const { type, length } = this.chunkHeader();
      if (type !== "IDAT" && type !== "DDAT") {
        this.reader.at = from;
        return null;
      }
      this.pixelBytesLeft = length;
    }
    const length = Math.min(this.pixelBytesLeft, MAX_PIECE_BYTES, this.reader.left);
    this.pixelBytesLeft -= length;
    return length === 0 ? null : this.reader.take(length);
  }

  /** Reads what stands behind the pixels, where an orientation may be. Throws Refused "corrupt". */
  finish(): void {
    this.reader.at += this.pixelBytesLeft;
    while (true) {
      this.reader.at += 4;
      if (this.reader.left < 8) return;
      const type = latin1(this.reader.bytes.subarray(this.reader.at + 4, this.reader.at + 8));
      if (type === "IEND" || !/^\w{4}$/.test(type)) return;
      const data = this.reader.take(this.chunkHeader().length);
      if (!this.isPixels(type, data.length)) this.handle(type, data);
    }
  }

  private chunkHeader(): { type: string; length: number } {
    const length = this.reader.uint32();
    const type = latin1(this.reader.take(4));
    if (!/^\w{4}$/.test(type)) throw corrupt("a chunk without a type");
    return { type, length };
  }

  /** Whether a chunk holds pixels; those of an animation's frames only where the frames are in order. */
  private isPixels(type: string, length: number): boolean {
    if (type === "IDAT") this.pixelBytesLeft = length;
    if (type !== "fdAT") return type === "IDAT";
    if (length < 4) throw corrupt("an fdAT chunk that is too short");
    this.inSequence(this.reader.view.getUint32(this.reader.at));
    return true;
  }

  private handle(type: string, data: Uint8Array): void {
    if (data.length < (MIN_BYTES[type] ?? 0)) throw corrupt(`a ${type} chunk that is too short`);
    if (type === "IHDR") this.header = headerFrom(data);
    else if (type === "PLTE") this.palette = data;
    else if (type === "tRNS") this.transparency = data;
    else if (type === "eXIf") this.exif = data;
    else if (type === "acTL") this.claimFrames(new DataView(data.buffer, data.byteOffset).getUint32(0));
    else if (type === "fcTL") this.inSequence(new DataView(data.buffer, data.byteOffset).getUint32(0));
    else this.text.handle(type, data);
  }

  /** A second claim takes the first one back. */
  private claimFrames(numFrames: number): void {
    const isSane = numFrames > 0 && numFrames <= MAX_FRAMES;
    if (this.claimedFrames !== null) this.claimedFrames = null;
    else if (isSane) this.claimedFrames = numFrames;
  }

  private inSequence(number: number): void {
    const expected = this.sequence === null ? 0 : this.sequence + 1;
    if (number !== expected) throw corrupt("animation frames out of order");
    this.sequence = number;
  }

  /** Whether the picture before the frames is none of them: no frame control chunk stands before it. */
  private isDefaultApart(): boolean {
    return this.hasPixels && this.sequence === null;
  }
}

function headerFrom(data: Uint8Array): PngHeader {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  if (data[11] !== 0) throw corrupt("an unknown filter method");
  return {
    width: view.getUint32(0),
    height: view.getUint32(4),
    depth: data[8],
    colourType: data[9],
    isInterlaced: data[12] !== 0,
  };
}

/** CRC-32 of a chunk's type and data (PNG specification, annex D). */
function checksum(type: string, data: Uint8Array): number {
  let crc = 0xffffffff;
  for (let at = 0; at < 4; at++) crc = CRC_TABLE[(crc ^ type.charCodeAt(at)) & 0xff] ^ (crc >>> 8);
  for (let at = 0; at < data.length; at++) crc = CRC_TABLE[(crc ^ data[at]) & 0xff] ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? 0xedb88320 ^ (crc >>> 1) : crc >>> 1;
  return crc;
});
