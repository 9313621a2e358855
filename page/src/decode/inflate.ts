/** zlib's streams with bounds, through pako, which is zlib's own code in JavaScript: it accepts and refuses the same. */
import { Z_BUF_ERROR, Z_NO_FLUSH, Z_OK, Z_STREAM_END, ZStream, zlibInflate, zlibInflateInit2 } from "pako";

import { corrupt } from "./limits";

const MAX_WINDOW_BITS = 15;

/** How an inflation ended: it wants more input, is at its stream's end, or met data that is none. */
export type InflationEnd = "hungry" | "full" | "ended" | "damaged";

/** A stream of zlib's format, or of bare deflate, that is inflated into given places. */
export class Inflation {
  private readonly stream = new ZStream();

  constructor(isBare: boolean) {
    const status = zlibInflateInit2(this.stream, isBare ? -MAX_WINDOW_BITS : MAX_WINDOW_BITS);
    if (status !== Z_OK) throw new Error(`zlib gives ${status}`);
  }

  get hasInput(): boolean {
    return this.stream.avail_in > 0;
  }

  /** The next part of the stream. What was given before must have been used up. */
  feed(input: Uint8Array): void {
    this.stream.input = input;
    this.stream.next_in = 0;
    this.stream.avail_in = input.length;
  }

  /** Bytes into `output` from `from` on; where they end, and why. */
  inflateInto(output: Uint8Array, from: number): { end: number; why: InflationEnd } {
    const { stream } = this;
    stream.output = output as Uint8Array<ArrayBuffer>;
    stream.next_out = from;
    stream.avail_out = output.length - from;
    const status = zlibInflate(stream, Z_NO_FLUSH);
    const end = output.length - stream.avail_out;
    if (status === Z_STREAM_END) return { end, why: "ended" };
    if (status !== Z_OK && status !== Z_BUF_ERROR) return { end, why: "damaged" };
    return { end, why: stream.avail_out === 0 ? "full" : "hungry" };
  }
}

/** The whole stream's bytes, at most `maxBytes`; "too-large" where there are more, "damaged" where it is none. */
export function inflated(data: Uint8Array, maxBytes: number, isBare: boolean): Uint8Array | "too-large" | "damaged" {
  const inflation = new Inflation(isBare);
  inflation.feed(data);
  const parts: Uint8Array[] = [];
  let [length, partBytes] = [0, 1 << 16];
  while (true) {
    const part = new Uint8Array(Math.min(partBytes, maxBytes + 1 - length));
    const { end, why } = inflation.inflateInto(part, 0);
    if (why === "damaged") return "damaged";
    parts.push(part.subarray(0, end));
    length += end;
    if (length > maxBytes) return "too-large";
    if (why !== "full") return joined(parts, length);
    partBytes = Math.min(2 * partBytes, 1 << 24);
  }
}

/** Some bytes after one another. */
export function joined(parts: Uint8Array[], length = parts.reduce((sum, part) => sum + part.length, 0)): Uint8Array {
  if (parts.length === 1) return parts[0];
  const whole = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** Rows that a zlib stream holds, one after the other. */
export class RowStream {
  private readonly inflation = new Inflation(false);
  private hasEnded = false;

  /** `nextInput`: the stream's next bytes; null where there are no more. */
  constructor(private readonly nextInput: () => Uint8Array | null) {}

  /** Fills a row; false where the stream ended with the row before it. Throws Refused "corrupt" where it breaks off. */
  fill(row: Uint8Array): boolean {
    if (this.hasEnded) return false;
    let at = 0;
    while (at < row.length) {
      // As in Pillow, what zlib still holds back of a row comes only with more input.
      if (!this.inflation.hasInput) this.feedMore();
      const { end, why } = this.inflation.inflateInto(row, at);
      at = end;
      if (why === "damaged") throw corrupt("its compressed pixels are damaged");
      if (why === "ended" && at < row.length) throw corrupt("its compressed pixels end too early");
      this.hasEnded = why === "ended";
    }
    return true;
  }

  private feedMore(): void {
    const input = this.nextInput();
    if (input === null) throw corrupt("pixels are missing");
    this.inflation.feed(input);
  }
}
