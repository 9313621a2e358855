/** The EXIF orientation as Pillow finds it: in the EXIF data's first directory, else in the XMP data. */
import { ByteReader, latin1 } from "./byte_reader";
import { corrupt } from "./limits";

const ORIENTATION = 0x0112;
/** Byte order and version at the start of TIFF data that Pillow takes. */
const HEADERS = new Set(["MM\x00\x2a", "II\x2a\x00", "MM\x2a\x00", "II\x00\x2a"]);
/** Bytes of a value of each TIFF type (TIFF 6.0, section 2), and of LONG8; the other types are passed over. */
const TYPE_BYTES: Record<number, number> = {
  ...{ 1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8 },
};

/** Where a file may say its orientation; empty or null where it does not. */
export interface OrientationSources {
  /** TIFF data, with or without "Exif\0\0" before it. */
  exif: Uint8Array | null;
  /** An XMP packet. */
  xmp: string | null;
}

/** 1 to 8, or another number that means no turning. Throws Refused "corrupt" where the EXIF data has no TIFF header. */
export function orientationOf({ exif, xmp }: OrientationSources): number {
  const said = exif === null ? null : fromExif(exif);
  if (said !== null) return said;
  const match = xmp === null ? null : /tiff:Orientation(?:="|>)([0-9])/.exec(xmp);
  return match === null ? 1 : Number(match[1]);
}

function fromExif(exif: Uint8Array): number | null {
  const prefix = /^(?:Exif\0\0){0,2}/.exec(latin1(exif.subarray(0, 12)));
  const data = exif.subarray(prefix === null ? 0 : prefix[0].length);
  if (data.length === 0) return null;
  const header = latin1(data.subarray(0, 4));
  if (data.length < 8 || !HEADERS.has(header)) throw corrupt("EXIF data without a TIFF header");
  const reader = new ByteReader(data, 4, header.startsWith("II"));
  reader.at = reader.uint32();
  return reader.left < 2 ? null : fromDirectory(reader);
}

/** The orientation that an image file directory gives; null where there is none before the directory ends or breaks. */
function fromDirectory(reader: ByteReader): number | null {
  const numEntries = reader.uint16();
  for (let entry = 0; entry < numEntries && reader.left >= 12; entry++) {
    const next = reader.at + 12;
    const [tag, type, count] = [reader.uint16(), reader.uint16(), reader.uint32()];
    const size = (TYPE_BYTES[type] ?? 0) * count;
    if (size > 4) {
      const place = reader.uint32();
      const isBroken = size <= reader.bytes.length && place + size > reader.bytes.length;
      if (isBroken) return null;
      if (tag === ORIENTATION && size <= reader.bytes.length) return valueAt(reader, place, type);
    } else if (tag === ORIENTATION && size > 0) return valueAt(reader, reader.at, type);
    reader.at = next;
  }
  return null;
}

/** A number of a TIFF type; NaN of types that are no numbers. */
function valueAt({ view, isLittleEndian }: ByteReader, at: number, type: number): number {
  switch (type) {
    case 3:
      return view.getUint16(at, isLittleEndian);
    case 4:
    case 13:
      return view.getUint32(at, isLittleEndian);
    case 5:
      return view.getUint32(at, isLittleEndian) / view.getUint32(at + 4, isLittleEndian);
    case 6:
      return view.getInt8(at);
    case 8:
      return view.getInt16(at, isLittleEndian);
    case 9:
      return view.getInt32(at, isLittleEndian);
    case 10:
      return view.getInt32(at, isLittleEndian) / view.getInt32(at + 4, isLittleEndian);
    case 11:
      return view.getFloat32(at, isLittleEndian);
    case 12:
      return view.getFloat64(at, isLittleEndian);
    case 16:
      return Number(view.getBigUint64(at, isLittleEndian));
    default:
      return Number.NaN;
  }
}
