/** RLE Lossless frames (PS3.5 annex G). */
import { ByteReader } from "./byte_reader";
import { corrupt } from "./limits";

const HEADER_BYTES = 64;
const MAX_SEGMENTS = 15;

/** The frame's bytes: samples one after the other (planar), each little endian. Throws Refused "corrupt". */
export function decodeRle(frame: Uint8Array, numPixels: number, numSamples: number, bytesPerSample: number): Uint8Array {
  const offsets = segmentOffsets(frame);
  if (offsets.length !== numSamples * bytesPerSample) throw corrupt(`${offsets.length} RLE segments`);
  const decoded = new Uint8Array(numPixels * numSamples * bytesPerSample);
  offsets.forEach((from, index) => {
    const segment = frame.subarray(from, offsets[index + 1] ?? frame.length);
    // A sample's upper byte has the first segment.
    const place = bytesPerSample - 1 - (index % bytesPerSample);
    const start = Math.floor(index / bytesPerSample) * numPixels * bytesPerSample + place;
    decodeSegment(segment, decoded, start, bytesPerSample, numPixels);
  });
  return decoded;
}

function segmentOffsets(frame: Uint8Array): number[] {
  if (frame.length < HEADER_BYTES) throw corrupt("an RLE header that is too short");
  const reader = new ByteReader(frame, 0, true);
  const numSegments = reader.uint32();
  if (numSegments > MAX_SEGMENTS) throw corrupt(`${numSegments} RLE segments`);
  return Array.from({ length: numSegments }, () => reader.uint32());
}

/** Fills every `step`th byte from `start` on; more bytes than `count` are left out. Throws Refused "corrupt". */
function decodeSegment(segment: Uint8Array, target: Uint8Array, start: number, step: number, count: number): void {
  let [at, done] = [0, 0];
  while (at < segment.length && done < count) {
    const control = segment[at++];
    if (control === 128) continue;
    const isRun = control > 128;
    const length = isRun ? 257 - control : Math.min(control + 1, segment.length - at);
    if (isRun && at >= segment.length) break;
    for (let index = 0; index < length && done < count; index++, done++) {
      target[start + done * step] = segment[isRun ? at : at + index];
    }
    at += isRun ? 1 : length;
  }
  if (done < count) throw corrupt(`an RLE segment of ${done} instead of ${count} bytes`);
}
