/** Reading of a file's bytes in order; what is beyond the end is damage. */
import { corrupt } from "./limits";

/** A place in some bytes that moves on as they are read. */
export class ByteReader {
  readonly view: DataView;
  at: number;

  constructor(
    readonly bytes: Uint8Array,
    from = 0,
    public isLittleEndian = false,
  ) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.at = from;
  }

  get left(): number {
    return Math.max(this.bytes.length - this.at, 0);
  }

  uint8(): number {
    return this.bytes[this.moved(1)];
  }

  uint16(): number {
    return this.view.getUint16(this.moved(2), this.isLittleEndian);
  }

  uint32(): number {
    return this.view.getUint32(this.moved(4), this.isLittleEndian);
  }

  /** The next bytes, not copied. Throws Refused "corrupt" where there are fewer. */
  take(length: number): Uint8Array {
    const from = this.moved(length);
    return this.bytes.subarray(from, from + length);
  }

  private moved(by: number): number {
    if (this.left < by) throw corrupt(`the file ends at ${this.bytes.length}, ${by} bytes are missing from ${this.at}`);
    this.at += by;
    return this.at - by;
  }
}

/** Bytes as characters of the same numbers. */
export function latin1(bytes: Uint8Array): string {
  let text = "";
  for (let from = 0; from < bytes.length; from += 8192) {
    text += String.fromCharCode(...bytes.subarray(from, from + 8192));
  }
  return text;
}
