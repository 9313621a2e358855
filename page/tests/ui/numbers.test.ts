/** Numbers as Python's format "g" writes them, and CSV cells. */

import { describe, expect, test } from "vitest";

import type { Card } from "../../src/types";
import { csvOf } from "../../src/ui/csv";
import { formatG, scaleFigure } from "../../src/ui/format_g";

describe("formatG", () => {
  // Each right side is what Python prints for f"{value:.<digits>g}".
  test.each([
    [0, 6, "0"],
    [-0, 6, "-0"],
    [0.5, 6, "0.5"],
    [2.5, 1, "2"],
    [3.5, 1, "4"],
    [9.5, 1, "1e+01"],
    [0.25, 1, "0.2"],
    [1.001953125, 9, "1.00195312"],
    [0.0001, 6, "0.0001"],
    [0.00001, 6, "1e-05"],
    [123456, 6, "123456"],
    [1234567, 6, "1.23457e+06"],
    [-0.000123456789, 6, "-0.000123457"],
    [999999.5, 6, "1e+06"],
    [1e-320, 3, "1e-320"],
    [1e300, 6, "1e+300"],
    [100, 3, "100"],
  ])("writes %d with %d digits as Python does", (value, digits, text) => {
    expect(formatG(value, digits)).toBe(text);
  });

  test("nine digits give a float32 back", () => {
    for (let seed = 1; seed < 500; seed++) {
      const value = Math.fround(Math.sin(seed * 12.9898) * 10 ** ((seed % 13) - 6));
      expect(Math.fround(Number(formatG(value, 9)))).toBe(value);
    }
  });
});

test("a colour bar's figures have a sign only where the scale has two", () => {
  expect(scaleFigure(2.3456, true)).toBe("+2.35");
  expect(scaleFigure(-2.3456, true)).toBe("-2.35");
  expect(scaleFigure(2.3456, false)).toBe("2.35");
  expect(scaleFigure(0, true)).toBe("0");
});

test("a cell with commas, quotes or line ends is quoted, and half a surrogate is escaped", () => {
  const card = { findings: [], operating_points: [] } as unknown as Card;
  const text = csvOf(card, [{ path: 'a,"b"\r\nc', status: "corrupt", message: "bad \udc80 name" }]);
  expect(text).toBe('path,status,message\n"a,""b""\r\nc",corrupt,bad \\udc80 name\n');
});
