/** What a compressed DICOM frame itself claims: codecs believe it, whatever the DICOM header says. */
import { ByteReader } from "./byte_reader";

const J2K_SEARCH_BYTES = 4096;
/** Start of codestream, and image and tile size (ISO/IEC 15444-1, table A.2). */
const CODESTREAM_MARKERS = [0xff, 0x4f, 0xff, 0x51];

/** (height, width) of a JPEG, JPEG-LS or JPEG 2000 frame; null where the frame does not say. */
export function frameSize(frame: Uint8Array): [number, number] | null {
  if (frame[0] === 0xff && frame[1] === 0xd8) {
    const at = frameHeader(frame);
    if (at === null) return null;
    const { view } = new ByteReader(frame);
    return [view.getUint16(at + 5), view.getUint16(at + 7)];
  }
  return jpeg2000Size(frame);
}

/** Where the start-of-frame marker of JPEG (ITU-T T.81, table B.1) or of JPEG-LS (ITU-T T.87) stands. */
export function frameHeader(frame: Uint8Array): number | null {
  let place = 2;
  while (place + 9 <= frame.length) {
    if (frame[place] !== 0xff) return null;
    const marker = frame[place + 1];
    if (marker === 0xff) place += 1;
    else if ((marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker)) || marker === 0xf7) return place;
    else place += 2 + ((frame[place + 2] << 8) | frame[place + 3]);
  }
  return null;
}

/** Bits and sign of the first component of a JPEG 2000 codestream (ISO/IEC 15444-1, A.5.1); null without one. */
export function jpeg2000Depth(frame: Uint8Array): { bits: number; isSigned: boolean } | null {
  const start = codestreamStart(frame);
  if (start < 0 || start + 42 >= frame.length) return null;
  const depth = frame[start + 42];
  return { bits: (depth & 0x7f) + 1, isSigned: depth >= 0x80 };
}

function jpeg2000Size(frame: Uint8Array): [number, number] | null {
  const start = codestreamStart(frame);
  if (start < 0 || start + 24 > frame.length) return null;
  const { view } = new ByteReader(frame);
  const [right, bottom, left, top] = [8, 12, 16, 20].map((at) => view.getUint32(start + at));
  return [bottom - top, right - left];
}

/** Where a codestream's first two markers stand; a JP2 file's boxes may come before it. */
function codestreamStart(frame: Uint8Array): number {
  const last = Math.min(frame.length, J2K_SEARCH_BYTES) - CODESTREAM_MARKERS.length;
  for (let at = 0; at <= last; at++) if (CODESTREAM_MARKERS.every((byte, index) => frame[at + index] === byte)) return at;
  return -1;
}
