/** Any supported file -> one Radiograph. What a file is is decided by its first bytes, never by its name. */
import { type Radiograph, Refused } from "../types";
import { MAX_FILE_BYTES, corrupt } from "./limits";

/** First bytes of image files that are not read here. */
const KNOWN_ELSEWHERE: [string, string][] = [
  ["GIF8", "GIF"],
  ["BM", "BMP"],
  ["II*\x00", "TIFF"],
  ["MM\x00*", "TIFF"],
  ["RIFF", "WebP"],
  ["\x00\x00\x00\x0cjP  ", "JPEG 2000"],
  ["\xff\x4f\xff\x51", "JPEG 2000"],
  ["8BPS", "Photoshop"],
];

/** The decoded file. Throws Refused with the code with which Python refuses it. */
export async function decode(bytes: Uint8Array): Promise<Radiograph> {
  if (bytes.length === 0) throw new Refused("empty-file", "is empty (0 bytes)");
  if (bytes.length > MAX_FILE_BYTES) {
    throw new Refused("too-large", `${bytes.length} bytes; at most ${MAX_FILE_BYTES}`);
  }
  const load = await loaderOf(bytes);
  try {
    return await load(bytes);
  } catch (error) {
    throw refusalOf(error);
  }
}

/** The decoder of a file, loaded when the first file of its kind comes. */
async function loaderOf(bytes: Uint8Array): Promise<(bytes: Uint8Array) => Radiograph | Promise<Radiograph>> {
  // A DICOM file says so after a preamble of 128 bytes (PS3.10 section 7.1).
  if (startsWith(bytes, "DICM", 128)) return (await import("./dicom")).loadDicom;
  if (startsWith(bytes, "\x89PNG\r\n\x1a\n")) return (await import("./png")).loadPng;
  if (startsWith(bytes, "\xff\xd8\xff")) return (await import("./jpeg")).loadJpeg;
  for (const [signature, name] of KNOWN_ELSEWHERE) {
    if (startsWith(bytes, signature)) {
      throw new Refused("unsupported-format", `is a ${name} file; give PNG, JPEG or DICOM`);
    }
  }
  throw new Refused("not-an-image", "is no PNG, JPEG or DICOM file");
}

function startsWith(bytes: Uint8Array, signature: string, from = 0): boolean {
  if (bytes.length < from + signature.length) return false;
  for (let at = 0; at < signature.length; at++) {
    if (bytes[from + at] !== signature.charCodeAt(at)) return false;
  }
  return true;
}

/** Whatever else a decoder throws comes of the file's bytes, or of too little memory. */
function refusalOf(error: unknown): Refused {
  if (error instanceof Refused) return error;
  const detail = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  const isOutOfMemory = /allocation|array length|array size|out of memory|bad_alloc/i.test(detail);
  return isOutOfMemory ? new Refused("too-much-memory", `there is not enough memory to decode it (${detail})`) : corrupt(detail);
}
