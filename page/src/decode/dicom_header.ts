/** Values of DICOM attributes as pydicom converts them (PS3.5 section 6.2); what cannot be converted is damage. */
import { ByteReader, latin1 } from "./byte_reader";
import { type DataElement, type Elements, type Encoding, itemsOf } from "./dicom_elements";
import { corrupt } from "./limits";

/** The attributes that are looked at: tag, and its value representation (PS3.6) where the file writes none. */
const ATTRIBUTES = {
  FileMetaInformationGroupLength: [0x00020000, "UL"],
  TransferSyntaxUID: [0x00020010, "UI"],
  SOPClassUID: [0x00080016, "UI"],
  Modality: [0x00080060, "CS"],
  PatientAge: [0x00101010, "AS"],
  BodyPartExamined: [0x00180015, "CS"],
  ViewPosition: [0x00185101, "CS"],
  SamplesPerPixel: [0x00280002, "US"],
  PhotometricInterpretation: [0x00280004, "CS"],
  PlanarConfiguration: [0x00280006, "US"],
  NumberOfFrames: [0x00280008, "IS"],
  Rows: [0x00280010, "US"],
  Columns: [0x00280011, "US"],
  BitsAllocated: [0x00280100, "US"],
  BitsStored: [0x00280101, "US"],
  PixelRepresentation: [0x00280103, "US"],
  PixelPaddingValue: [0x00280120, "US or SS"],
  PixelPaddingRangeLimit: [0x00280121, "US or SS"],
  WindowCenter: [0x00281050, "DS"],
  WindowWidth: [0x00281051, "DS"],
  RescaleIntercept: [0x00281052, "DS"],
  RescaleSlope: [0x00281053, "DS"],
  VOILUTFunction: [0x00281056, "CS"],
  ModalityLUTSequence: [0x00283000, "SQ"],
  LUTDescriptor: [0x00283002, "US or SS"],
  LUTData: [0x00283006, "US or OW"],
  VOILUTSequence: [0x00283010, "SQ"],
  PixelData: [0x7fe00010, "OB or OW"],
} as const satisfies Record<string, readonly [number, string]>;

export type Keyword = keyof typeof ATTRIBUTES;

/** Bytes of one number, and how it is read, of each binary value representation. */
const NUMBERS: Record<string, { size: number; read: (view: DataView, at: number, isLittleEndian: boolean) => number }> = {
  US: { size: 2, read: (view, at, isLittleEndian) => view.getUint16(at, isLittleEndian) },
  SS: { size: 2, read: (view, at, isLittleEndian) => view.getInt16(at, isLittleEndian) },
  UL: { size: 4, read: (view, at, isLittleEndian) => view.getUint32(at, isLittleEndian) },
  SL: { size: 4, read: (view, at, isLittleEndian) => view.getInt32(at, isLittleEndian) },
  FL: { size: 4, read: (view, at, isLittleEndian) => view.getFloat32(at, isLittleEndian) },
  FD: { size: 8, read: (view, at, isLittleEndian) => view.getFloat64(at, isLittleEndian) },
};

/** A data set's attributes by keyword. */
export class Header {
  constructor(
    readonly elements: Elements,
    private readonly encoding: Encoding,
    private readonly parent: Header | null = null,
  ) {}

  get isLittleEndian(): boolean {
    return this.encoding.isLittleEndian;
  }

  has(keyword: Keyword): boolean {
    return this.elements.has(ATTRIBUTES[keyword][0]);
  }

  /** The bytes of a value; null where it is absent. */
  bytes(keyword: Keyword): Uint8Array | null {
    return this.elements.get(ATTRIBUTES[keyword][0])?.value ?? null;
  }

  /** The value representation, from the file or else from the standard; null where the attribute is absent. */
  vr(keyword: Keyword): string | null {
    const [tag, standard] = ATTRIBUTES[keyword];
    const element = this.elements.get(tag);
    if (element === undefined) return null;
    const vr = element.vr === null || element.vr === "UN" ? standard : element.vr;
    return vr === "US or SS" ? (this.isSigned() ? "SS" : "US") : vr;
  }

  /** A text without what pads it; null where it is absent. */
  text(keyword: Keyword): string | null {
    const bytes = this.bytes(keyword);
    return bytes === null ? null : latin1(bytes).replace(/[ \0]+$/, "");
  }

  /** All numbers of a value; none where it is absent or empty. Throws Refused "corrupt". */
  numbers(keyword: Keyword): number[] {
    const bytes = this.bytes(keyword);
    if (bytes === null || bytes.length === 0) return [];
    const number = NUMBERS[this.vr(keyword) ?? ""];
    if (number === undefined) return latin1(bytes).replace(/[ \0]+$/, "").split("\\").map(decimal);
    if (bytes.length % number.size !== 0) throw corrupt(`${keyword} of ${bytes.length} bytes`);
    const view = new ByteReader(bytes).view;
    return Array.from({ length: bytes.length / number.size }, (_, at) => number.read(view, at * number.size, this.isLittleEndian));
  }

  /** The first number of a value, whatever the others are; null where it is absent or empty. */
  first(keyword: Keyword): number | null {
    const text = NUMBERS[this.vr(keyword) ?? ""] === undefined ? this.text(keyword) : null;
    return text === null || text === "" ? (this.numbers(keyword).at(0) ?? null) : decimal(text.split("\\")[0]);
  }

  /** The one number of a value; null where it is absent or empty. Throws Refused "corrupt" where there are several. */
  number(keyword: Keyword): number | null {
    const numbers = this.numbers(keyword);
    if (numbers.length > 1) throw corrupt(`${keyword} of ${numbers.length} values`);
    return numbers.length === 0 ? null : numbers[0];
  }

  /** The one whole number of a value. Throws Refused "corrupt" where there is none. */
  whole(keyword: Keyword): number {
    const number = this.number(keyword);
    if (number === null || !Number.isFinite(number)) throw corrupt(`no ${keyword}`);
    return Math.trunc(number);
  }

  /** The first item of a sequence; null where there is none. Throws Refused "corrupt". */
  firstItem(keyword: Keyword): Header | null {
    const sequence: DataElement | undefined = this.elements.get(ATTRIBUTES[keyword][0]);
    if (sequence === undefined || sequence.value.length === 0) return null;
    const items = itemsOf(sequence);
    return items.length === 0 ? null : new Header(items[0], sequence.encoding, this);
  }

  private isSigned(): boolean {
    if (this.has("PixelRepresentation")) return this.number("PixelRepresentation") === 1;
    return this.parent !== null && this.parent.isSigned();
  }
}

/** A decimal number as Python's float() reads it. Throws Refused "corrupt" where it reads none. */
function decimal(text: string): number {
  const trimmed = text.trim();
  if (!/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(trimmed)) throw corrupt(`${JSON.stringify(text)} for a number`);
  return Number(trimmed);
}
