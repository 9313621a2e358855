import { describe, expect, it } from "vitest";

import type { DataElement, Elements } from "../../src/decode/dicom_elements";
import { Header } from "../../src/decode/dicom_header";
import { displayTable, windowed } from "../../src/decode/grayscale";

const ENCODING = { isImplicit: false, isLittleEndian: true };
const words = (...values: number[]): Uint8Array => new Uint8Array(Uint16Array.from(values, (value) => value & 0xffff).buffer);
const text = (value: string): Uint8Array => new TextEncoder().encode(value);
const element = (vr: string, value: Uint8Array): DataElement => ({ vr, value, encoding: ENCODING });

/** A header of so many stored bits, with more elements. */
function header(bits: number, more: [number, DataElement][] = []): Header {
  const elements: Elements = new Map([
    [0x00280004, element("CS", text("MONOCHROME2 "))],
    [0x00280101, element("US", words(bits))],
    [0x00280103, element("US", words(0))],
    ...more,
  ]);
  return new Header(elements, ENCODING);
}

/** A sequence of one item that holds a LUT of US entries. */
function lut(first: number, depth: number, entries: number[]): DataElement {
  const parts: [number, number, Uint8Array][] = [
    [0x0028, 0x3002, words(entries.length, first, depth)],
    [0x0028, 0x3006, words(...entries)],
  ];
  const item = parts.flatMap(([group, number, value]) => [...words(group, number), ...text("US"), ...words(value.length), ...value]);
  return element("SQ", Uint8Array.from([...words(0xfffe, 0xe000), ...words(item.length, 0), ...item]));
}

describe("window laws of PS3.3 C.11.2.1", () => {
  it("LINEAR is black up to centre - 0.5 - (width - 1) / 2 and white from as far above on", () => {
    const law = windowed(2048, 4096, "LINEAR");
    expect([law(0), law(4095)]).toEqual([0, 1]);
    expect(law(2047.5)).toBeCloseTo(0.5, 12);
    expect([law(-1), law(5000)]).toEqual([0, 1]);
  });

  it("LINEAR of width 1 is a threshold", () => {
    const law = windowed(100, 1, "LINEAR");
    expect([law(99), law(99.5), law(99.6), law(100)]).toEqual([0, 0, 1, 1]);
  });

  it("LINEAR_EXACT and SIGMOID are 0.5 at the centre and point-symmetric about it", () => {
    for (const name of ["LINEAR_EXACT", "SIGMOID"]) {
      const law = windowed(100, 40, name);
      expect(law(100)).toBe(0.5);
      for (const away of [1, 7, 19, 300]) expect(law(100 + away) + law(100 - away)).toBeCloseTo(1, 12);
    }
  });

  it.each([[0.5, "LINEAR"], [0, "LINEAR_EXACT"], [-3, "SIGMOID"], [Number.NaN, "LINEAR"], [10, "CUBIC"]])(
    "width %s of %s is refused",
    (width, name) => expect(() => windowed(2, width as number, name as string)).toThrow("corrupt"),
  );
});

describe("the table over stored codes", () => {
  it("shows 8 bits as they are, and MONOCHROME1 inverted", () => {
    const all = new Uint8Array(256).fill(1);
    expect([...displayTable(header(8), all)]).toEqual(Array.from({ length: 256 }, (_, code) => code));
    const inverted = header(8, [[0x00280004, element("CS", text("MONOCHROME1 "))]]);
    expect([...displayTable(inverted, all)]).toEqual(Array.from({ length: 256 }, (_, code) => 255 - code));
  });

  it("stretches more bits from the least to the greatest value that is there", () => {
    const isPresent = new Uint8Array(4096);
    isPresent[1000] = isPresent[3000] = 1;
    const table = displayTable(header(12), isPresent);
    expect([table[0], table[1000], table[2000], table[3000], table[4095]]).toEqual([0, 0, 128, 255, 255]);
  });

  it("takes a VOI LUT's end entries beyond its ends", () => {
    const table = displayTable(header(12, [[0x00283010, lut(2000, 8, [0, 128, 255])]]), new Uint8Array(4096).fill(1));
    expect([table[0], table[2000], table[2001], table[2002], table[4095]]).toEqual([0, 0, 128, 255, 255]);
  });

  it("reads signed values where the header says so", () => {
    const table = displayTable(header(8, [[0x00280103, element("US", words(1))]]), new Uint8Array(256).fill(1));
    expect([table[128], table[255], table[0], table[127]]).toEqual([0, 127, 128, 255]);
  });

  it("shows padding black and refuses nothing but padding", () => {
    const padding: [number, DataElement] = [0x00280120, element("US", words(4000))];
    const isPresent = new Uint8Array(4096);
    isPresent[10] = isPresent[20] = isPresent[4000] = 1;
    const table = displayTable(header(12, [padding]), isPresent);
    expect([table[10], table[20], table[4000]]).toEqual([0, 255, 0]);
    const alone = new Uint8Array(4096);
    alone[4000] = 1;
    expect(() => displayTable(header(12, [padding]), alone)).toThrow("constant");
  });

  it("refuses a LUT that holds less than it says", () => {
    const item = lut(0, 8, [1, 2, 3]);
    item.value[8 + 8] = 9;
    expect(() => displayTable(header(12, [[0x00283010, item]]), new Uint8Array(4096).fill(1))).toThrow("corrupt");
  });
});
