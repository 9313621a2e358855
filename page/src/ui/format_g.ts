/** Numbers as Python's format "g" writes them, so that the page's CSV equals that of `pocketcxr predict --csv`. */

/** `value` with at most `digits` significant digits, as f"{value:.<digits>g}"; ties go to the even digit. */
export function formatG(value: number, digits: number): string {
  if (value === 0) return Object.is(value, -0) ? "-0" : "0";
  const [mantissa, exponent] = rounded(Math.abs(value), digits);
  const sign = value < 0 ? "-" : "";
  if (exponent < -4 || exponent >= digits) {
    const power = String(Math.abs(exponent)).padStart(2, "0");
    return `${sign}${pointed(mantissa, 1)}e${exponent < 0 ? "-" : "+"}${power}`;
  }
  if (exponent < 0) return sign + pointed("0".repeat(-exponent) + mantissa, 1);
  return sign + pointed(mantissa, exponent + 1);
}

/** The figures of a colour bar: three digits, with its sign where the scale has two. */
export function scaleFigure(value: number, isSigned: boolean): string {
  if (value === 0) return "0";
  return (isSigned && value > 0 ? "+" : "") + formatG(value, 3);
}

/** The digits of a positive number and its decimal exponent. */
function rounded(value: number, digits: number): [string, number] {
  const [mantissa, exponent] = digitsOf(value.toExponential(digits - 1));
  // toExponential rounds ties up, Python to even: 100 digits show whether it was a tie.
  const [exact] = digitsOf(value.toExponential(100));
  const isTie = /^50*$/.test(exact.slice(digits));
  if (!isTie || Number(exact[digits - 1]) % 2 === 1) return [mantissa, exponent];
  return [exact.slice(0, digits), digitsOf(value.toExponential(100))[1]];
}

function digitsOf(text: string): [string, number] {
  const [mantissa, exponent] = text.split("e");
  return [mantissa.replace(".", ""), Number(exponent)];
}

/** Digits with a point after the first `whole`, without trailing zeros behind it. */
function pointed(digits: string, whole: number): string {
  const behind = digits.slice(whole).replace(/0+$/, "");
  return digits.slice(0, whole) + (behind === "" ? "" : `.${behind}`);
}
