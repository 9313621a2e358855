import { deflateSync, deflateRawSync } from "node:zlib";

import { describe, expect, it } from "vitest";

import { frameSize } from "../../src/decode/codestream";
import { colouredShare, luma } from "../../src/decode/colour";
import { decode } from "../../src/decode/decode";
import { ageYears } from "../../src/decode/dicom_facts";
import { orientationOf } from "../../src/decode/exif";
import { firstFrame } from "../../src/decode/fragments";
import { inflated } from "../../src/decode/inflate";
import { to8Bits } from "../../src/decode/limits";
import { decodeRle } from "../../src/decode/rle";
import { upright } from "../../src/decode/upright";

const uint32 = (...values: number[]): number[] => [...new Uint8Array(Uint32Array.from(values).buffer)];

/** An RLE frame of some segments. */
function rleFrame(...segments: number[][]): Uint8Array {
  const starts = segments.map((_, at) => 64 + segments.slice(0, at).flat().length);
  const header = uint32(segments.length, ...starts);
  return Uint8Array.from([...header, ...new Array<number>(64 - header.length).fill(0), ...segments.flat()]);
}

describe("RLE (PS3.5 annex G)", () => {
  it("repeats runs, copies literals and passes over 128", () => {
    expect([...decodeRle(rleFrame([254, 7, 128, 1, 8, 9]), 5, 1, 1)]).toEqual([7, 7, 7, 8, 9]);
  });

  it("puts the first segment into the upper bytes", () => {
    expect([...decodeRle(rleFrame([255, 1], [1, 2, 3]), 2, 1, 2)]).toEqual([2, 1, 3, 1]);
  });

  it.each([
    ["too few pixels", rleFrame([254, 7]), 4],
    ["a run without its byte", rleFrame([254]), 2],
    ["no header", new Uint8Array(12), 2],
    ["another number of segments", rleFrame([255, 1], [255, 1]), 2],
  ])("refuses %s", (_, frame, numPixels) => {
    expect(() => decodeRle(frame, numPixels, 1, 1)).toThrow("corrupt");
  });
});

describe("bounded inflation", () => {
  const bomb = deflateSync(new Uint8Array(1 << 25));

  it("gives a whole stream, of zlib or bare", () => {
    const data = Uint8Array.from({ length: 100_000 }, (_, at) => (at * at) & 255);
    expect(inflated(deflateSync(data), data.length, false)).toEqual(data);
    expect(inflated(deflateRawSync(data), data.length, true)).toEqual(data);
  });

  it("stops at its bound, and tells damage", () => {
    expect(inflated(bomb, 1000, false)).toBe("too-large");
    expect(inflated(Uint8Array.of(1, 2, 3), 1000, false)).toBe("damaged");
    expect(inflated(bomb.subarray(0, 40), 1 << 26, false)).toBeInstanceOf(Uint8Array);
  });
});

describe("compressed frames in a file", () => {
  const item = (...bytes: number[]): number[] => [0xfe, 0xff, 0x00, 0xe0, ...uint32(bytes.length), ...bytes];

  it("joins the fragments of the first frame", () => {
    expect([...firstFrame(Uint8Array.from([...item(), ...item(1, 2), ...item(3, 4)]))]).toEqual([1, 2, 3, 4]);
    const table = item(...uint32(0, 10));
    expect([...firstFrame(Uint8Array.from([...table, ...item(1, 2), ...item(3, 4)]))]).toEqual([1, 2]);
  });

  it("refuses what is no item", () => {
    expect(() => firstFrame(Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8))).toThrow("corrupt");
    expect(() => firstFrame(Uint8Array.from(item()))).toThrow("corrupt");
  });

  it("reads the size that a frame claims", () => {
    const jpeg = [0xff, 0xd8, 0xff, 0xff, 0xc3, 0, 11, 8, 1, 2, 3, 4, 1, 1, 0x11, 0];
    expect(frameSize(Uint8Array.from(jpeg))).toEqual([0x0102, 0x0304]);
    expect(frameSize(Uint8Array.of(1, 2, 3))).toBeNull();
  });
});

describe("orientation", () => {
  const plane = { pixels: Uint8Array.of(1, 2, 3, 4, 5, 6), height: 2, width: 3 };

  it.each([
    [1, 2, 3, [1, 2, 3, 4, 5, 6]],
    [2, 2, 3, [3, 2, 1, 6, 5, 4]],
    [3, 2, 3, [6, 5, 4, 3, 2, 1]],
    [4, 2, 3, [4, 5, 6, 1, 2, 3]],
    [5, 3, 2, [1, 4, 2, 5, 3, 6]],
    [6, 3, 2, [4, 1, 5, 2, 6, 3]],
    [7, 3, 2, [6, 3, 5, 2, 4, 1]],
    [8, 3, 2, [3, 6, 2, 5, 1, 4]],
    [9, 2, 3, [1, 2, 3, 4, 5, 6]],
  ])("%i turns a picture upright", (orientation, height, width, pixels) => {
    expect(upright(plane, orientation)).toEqual({ pixels: Uint8Array.from(pixels), height, width });
  });

  it("is read in both byte orders, and from XMP where EXIF has none", () => {
    const little = Uint8Array.of(0x49, 0x49, 42, 0, 8, 0, 0, 0, 1, 0, 0x12, 1, 3, 0, 1, 0, 0, 0, 6, 0, 0, 0);
    const big = Uint8Array.of(0x4d, 0x4d, 0, 42, 0, 0, 0, 8, 0, 1, 1, 0x12, 0, 3, 0, 0, 0, 1, 0, 8, 0, 0);
    expect(orientationOf({ exif: little, xmp: null })).toBe(6);
    expect(orientationOf({ exif: big, xmp: 'tiff:Orientation="3"' })).toBe(8);
    expect(orientationOf({ exif: null, xmp: 'tiff:Orientation="3"' })).toBe(3);
    expect(orientationOf({ exif: null, xmp: null })).toBe(1);
    expect(() => orientationOf({ exif: Uint8Array.of(1, 2, 3), xmp: null })).toThrow("corrupt");
  });
});

describe("small laws", () => {
  it("gray stays its own luma", () => {
    for (let level = 0; level < 256; level++) expect(luma(level, level, level)).toBe(level);
  });

  it("8 bits are rounded and cut off, in either direction", () => {
    expect([to8Bits(0, 0, 255), to8Bits(0.5, 0, 255), to8Bits(300, 0, 255), to8Bits(-5, 0, 255)]).toEqual([0, 1, 255, 0]);
    expect([to8Bits(10, 20, 10), to8Bits(20, 20, 10)]).toEqual([255, 0]);
  });

  it("half a picture in red is half strongly coloured", () => {
    const pixels = Uint8Array.from({ length: 3 * 20 * 20 }, (_, at) => (at % 3 === 0 || at < 600 ? 200 : 0));
    expect(colouredShare({ pixels, height: 20, width: 20 })).toBe(0.5);
  });

  it("ages are years", () => {
    expect([ageYears("058Y"), ageYears("006M"), ageYears("58Y"), ageYears(null)]).toEqual([58, 0.5, null, null]);
    expect(ageYears("003W")).toBeCloseTo(21 / 365.25, 12);
  });

  it.each([
    [[], "empty-file"],
    [[0x47, 0x49, 0x46, 0x38, 0x39], "unsupported-format"],
    [[1, 2, 3], "not-an-image"],
    [[0x89, 0x50, 0x4e, 0x47, 13, 10, 26, 10], "corrupt"],
  ])("a file of %j is refused", async (bytes, code) => {
    await expect(decode(Uint8Array.from(bytes))).rejects.toMatchObject({ code });
  });
});
