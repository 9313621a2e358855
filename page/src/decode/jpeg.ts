/** JPEG files, equal to what Pillow makes of them. */
import { type Radiograph, Refused } from "../types";
import { colouredShare, draft, lumaOf } from "./colour";
import { orientationOf } from "./exif";
import { type JpegHeader, countScans, readJpegHeader } from "./jpeg_header";
import { decodeJpeg } from "./jpeg_pixels";
import { checkSize, corrupt, rangeOf, refuseConstant } from "./limits";
import { upright } from "./upright";

/** Progressive encoders write about ten; each goes over all pixels, and may be of a few bytes. */
const MAX_SCANS = 100;

/** A JPEG file, turned upright as its orientation says. Throws Refused. */
export async function loadJpeg(bytes: Uint8Array): Promise<Radiograph> {
  const header = readJpegHeader(bytes);
  const { height, width, numComponents, hasScan } = header;
  checkSize(height, width);
  if (countScans(bytes) > MAX_SCANS) throw corrupt("a JPEG of so many scans takes too long");
  if (!hasScan) throw corrupt("no scan");
  if (numComponents === 4) throw new Refused("unsupported-format", "a JPEG of printing colours (CMYK) is not read here");
  const { pixels, info } = await decodeJpeg(bytes);
  if (info.height !== height || info.width !== width) throw corrupt("two sizes");
  const isGray = info.componentCount === 1;
  const gray = isGray ? pixels : lumaOf(pixels);
  const turn = turnOf(header);
  refuseConstant(...rangeOf(gray));
  return {
    ...upright({ pixels: gray, height, width }, turn),
    format: "jpeg",
    bitsStored: 8,
    facts: {
      ...{ modality: null, sopClass: null, bodyPart: null, viewPosition: "UNKNOWN", ageYears: null },
      colouredShare: isGray ? 0 : colouredShare(draft({ pixels, height, width })),
    },
  };
}

function turnOf({ orientation, isExifStrict }: JpegHeader): number {
  try {
    return orientationOf(orientation);
  } catch (error) {
    if (isExifStrict) throw error;
    return 1;
  }
}
