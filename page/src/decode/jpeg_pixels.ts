/** The samples of a JPEG stream of 8 bits, as Pillow gives them: libjpeg-turbo on both sides, with the same settings. */
import { type FrameDecoder, type FrameInfo, jpegCodec } from "./codecs";
import { tidied } from "./jpeg_header";
import { corrupt } from "./limits";

/** Decoded samples, pixel by pixel: gray, or red, green and blue. */
export interface JpegSamples {
  pixels: Uint8Array;
  info: FrameInfo;
}

/**
 * The samples. Throws Refused "corrupt" where libjpeg gives up, and where the file ends without an end marker; what
 * libjpeg only warns of passes, as in Pillow.
 */
export async function decodeJpeg(stream: Uint8Array): Promise<JpegSamples> {
  const { bytes, isEnded, numScans, mayHaveScans } = tidied(stream);
  if (!isEnded) throw corrupt("the file ends before its end marker");
  if (numScans > 1 && !mayHaveScans) throw corrupt("a second scan of a file of one");
  const module = await jpegCodec.load();
  const decoder = new module.JPEGDecoder();
  decoder.getEncodedBuffer(bytes.length).set(bytes);
  const hasPassed = decodes(decoder);
  const pixels = decoder.getDecodedBuffer().slice();
  if (hasPassed) {
    const info = decoder.getFrameInfo();
    decoder.delete();
    return { pixels, info };
  }
  jpegCodec.forget();
  // The decoder fails alike after a warning, with all pixels there, and after an error, with its buffer as it was made.
  if (pixels.every((value) => value === 0)) throw corrupt("the JPEG stream cannot be decoded");
  return { pixels, info: decoder.getFrameInfo() };
}

function decodes(decoder: FrameDecoder): boolean {
  try {
    decoder.decode();
    return true;
  } catch (error) {
    // The module throws numbers: places in its memory.
    if (typeof error === "number") return false;
    throw corrupt(String(error));
  }
}
