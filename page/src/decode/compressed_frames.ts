/** Frames compressed with JPEG, lossless JPEG, JPEG-LS and JPEG 2000. */
import { Decoder as LosslessDecoder } from "jpeg-lossless-decoder-js";

import { Refused } from "../types";
import { type Codec, type FrameDecoder, type FrameInfo, jpeg2000Codec, jpegLsCodec } from "./codecs";
import { frameHeader, jpeg2000Depth } from "./codestream";
import { latin1 } from "./byte_reader";
import { joined } from "./inflate";
import { decodeJpeg } from "./jpeg_pixels";
import { corrupt } from "./limits";
import type { FrameShape } from "./stored_pixels";

/** A decoded frame's samples. */
export interface CompressedFrame {
  samples: Uint8Array | Uint16Array;
  /** Whether the samples of one colour follow each other. */
  isPlanar?: boolean;
  /** What three samples mean, where the frame knows better than the header. */
  sense?: string;
}

/** Adobe's segment that says: the components are not transformed (Adobe Technical Note 5116). */
const NO_TRANSFORM = Uint8Array.of(0xff, 0xee, 0, 14, ...[..."Adobe"].map((letter) => letter.charCodeAt(0)), 0, 100, 0, 0, 0, 0, 0);

/** The decoder may not have looked at the last byte of padding bits; at most it has read the end marker of 2 bytes. */
const MAX_BYTES_LEFT = 1;

/** A frame of lossy JPEG of 8 bits. Throws Refused "missing-codec" of one of 12 bits. */
export async function decodeJpegFrame(frame: Uint8Array, shape: FrameShape): Promise<CompressedFrame> {
  const at = frameHeader(frame);
  if (at === null) throw corrupt("no JPEG frame header");
  const precision = frame[at + 4];
  if (precision === 12) throw new Refused("missing-codec", "there is no codec for JPEG of 12 bits; export it uncompressed");
  if (precision !== 8 || shape.bitsAllocated !== 8) throw corrupt(`JPEG of ${precision} bits in ${shape.bitsAllocated}`);
  const isJfif = latin1(frame.subarray(0, at)).includes("JFIF");
  if (shape.numSamples === 1) return { samples: (await decodeJpeg(frame)).pixels };
  const { pixels } = await decodeJpeg(joined([frame.subarray(0, 2), NO_TRANSFORM, ...withoutApplications(frame, at)]));
  const ids = [at + 10, at + 13, at + 16].map((place) => frame[place]);
  if (["82,71,66", "114,103,98"].includes(ids.join())) return { samples: pixels, sense: "RGB" };
  return { samples: pixels, sense: isJfif && !shape.sense.includes("YBR") ? "YBR_FULL" : shape.sense };
}

/** The frame behind its first marker, its application segments left out: they steer the decoder's colours. */
function withoutApplications(frame: Uint8Array, headerAt: number): Uint8Array[] {
  const parts: Uint8Array[] = [];
  let place = 2;
  while (place < headerAt) {
    const end = frame[place + 1] === 0xff ? place + 1 : place + 2 + ((frame[place + 2] << 8) | frame[place + 3]);
    const isApplication = frame[place + 1] >= 0xe0 && frame[place + 1] <= 0xef;
    if (!isApplication) parts.push(frame.subarray(place, end));
    place = end;
  }
  return [...parts, frame.subarray(headerAt)];
}

/** A frame of lossless JPEG (ITU-T T.81, annex H). */
export function decodeLosslessJpeg(frame: Uint8Array, shape: FrameShape): CompressedFrame {
  const at = frameHeader(frame);
  if (at === null || frame[at + 1] !== 0xc3) throw corrupt("no lossless JPEG frame");
  const numBytes = frame[at + 4] > 8 ? 2 : 1;
  if (8 * numBytes !== shape.bitsAllocated) throw corrupt(`JPEG of ${frame[at + 4]} bits in ${shape.bitsAllocated}`);
  const copy = frame.slice();
  const decoder = new LosslessDecoder(copy.buffer, numBytes);
  const samples = decoder.decode(copy.buffer, 0, copy.length, numBytes);
  if (samples === null || decoder.yLoc < decoder.yDim) throw corrupt("the lossless JPEG frame ends too early");
  const numLeft = lastEnd(frame) - (decoder.stream?.index ?? 0);
  if (numLeft > MAX_BYTES_LEFT || numLeft < -2) throw corrupt("lossless JPEG data that end before or behind the pixels");
  return { samples };
}

/** Where the last end marker stands. */
function lastEnd(frame: Uint8Array): number {
  for (let at = frame.lastIndexOf(0xd9); at > 0; at = frame.lastIndexOf(0xd9, at - 1)) {
    if (frame[at - 1] === 0xff) return at - 1;
  }
  return frame.length;
}

/** A frame of JPEG-LS. */
export async function decodeJpegLs(frame: Uint8Array, shape: FrameShape): Promise<CompressedFrame> {
  const module = await jpegLsCodec.load();
  const decoder = new module.JpegLSDecoder();
  const { samples, info } = decoded(decoder, frame, jpegLsCodec);
  const isPlanar = decoder.getInterleaveMode() === 0;
  decoder.delete();
  return { samples: extended(samples, info.bitsPerSample, shape), isPlanar };
}

/** A frame of JPEG 2000, high throughput or not. */
export async function decodeJpeg2000(frame: Uint8Array, shape: FrameShape): Promise<CompressedFrame> {
  const depth = jpeg2000Depth(frame);
  if (depth === null) throw corrupt("no JPEG 2000 codestream");
  const module = await jpeg2000Codec.load();
  const decoder = new module.J2KDecoder();
  const { samples } = decoded(decoder, frame, jpeg2000Codec);
  decoder.delete();
  const sense = shape.sense === "YBR_ICT" || shape.sense === "YBR_RCT" ? "RGB" : shape.sense;
  return { samples: extended(samples, depth.bits, shape), sense };
}

function decoded<M>(decoder: FrameDecoder, frame: Uint8Array, codec: Codec<M>): { samples: Uint8Array | Uint16Array; info: FrameInfo } {
  try {
    decoder.getEncodedBuffer(frame.length).set(frame);
    decoder.decode();
  } catch (error) {
    codec.forget();
    throw corrupt(`the codec fails with ${String(error)}`);
  }
  const [info, bytes] = [decoder.getFrameInfo(), decoder.getDecodedBuffer().slice()];
  return { samples: info.bitsPerSample <= 8 ? bytes : new Uint16Array(bytes.buffer, 0, bytes.length >> 1), info };
}

/** Samples of a precision as the header wants them: the upper bits filled with the sign, or with zeros. */
function extended(samples: Uint8Array | Uint16Array, precision: number, shape: FrameShape): Uint8Array | Uint16Array {
  const [sign, mask] = [1 << (precision - 1), (1 << precision) - 1];
  const widened = new (shape.bitsAllocated > 8 ? Uint16Array : Uint8Array)(samples.length);
  for (let at = 0; at < widened.length; at++) {
    const code = samples[at] & mask;
    widened[at] = shape.isSigned && (code & sign) !== 0 ? code | ~mask : code;
  }
  return widened;
}
