/** A PNG file's text and profile chunks: they may hold an orientation, and must not be a decompression bomb. */
import { latin1 } from "./byte_reader";
import { inflated } from "./inflate";
import { corrupt } from "./limits";

/** Pillow's bounds: of one inflated text, and of all texts. */
const MAX_TEXT_BYTES = 1 << 20;
const MAX_ALL_TEXT_BYTES = 64 * MAX_TEXT_BYTES;
const RAW_EXIF = "Raw profile type exif";

/** The texts of one file. */
export class TextChunks {
  private readonly values = new Map<string, Uint8Array>();
  private numBytes = 0;

  /** Looks at a chunk; nothing of one that is no text. Throws Refused "corrupt". */
  handle(type: string, data: Uint8Array): void {
    if (type === "tEXt") this.plain(data);
    else if (type === "zTXt") this.compressed(data);
    else if (type === "iTXt") this.international(data);
    else if (type === "iCCP") profile(data);
  }

  /** EXIF data in a text, as older programs write it. Throws Refused "corrupt" where it is no hexadecimal text. */
  get exif(): Uint8Array | null {
    const raw = this.values.get(RAW_EXIF);
    if (this.values.has("exif") || raw === undefined) return this.values.get("exif") ?? null;
    const digits = latin1(raw).split("\n").slice(3).join("").replace(/\s/g, "");
    if (digits.length % 2 === 1 || /[^0-9a-f]/i.test(digits)) throw corrupt("EXIF data in a text that is none");
    return Uint8Array.from(digits.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
  }

  get xmp(): string | null {
    const packet = this.values.get("XML:com.adobe.xmp") ?? this.values.get("xmp");
    return packet === undefined ? null : latin1(packet);
  }

  private keep(key: Uint8Array, value: Uint8Array): void {
    if (key.length === 0) return;
    this.values.set(latin1(key), value);
    this.numBytes += value.length;
    if (this.numBytes > MAX_ALL_TEXT_BYTES) throw corrupt("too much text");
  }

  private plain(data: Uint8Array): void {
    const [key, value] = split(data) ?? [data, new Uint8Array()];
    this.keep(key, value);
  }

  private compressed(data: Uint8Array): void {
    const [key, value] = split(data) ?? [data, new Uint8Array()];
    if (value.length > 0 && value[0] !== 0) throw corrupt("an unknown compression of text");
    this.keep(key, text(value.subarray(1)) ?? new Uint8Array());
  }

  private international(data: Uint8Array): void {
    const [key, rest] = split(data) ?? [data, null];
    const [, afterLanguage] = (rest !== null && rest.length >= 2 && split(rest.subarray(2))) || [null, null];
    const [, value] = (afterLanguage !== null && split(afterLanguage)) || [null, null];
    if (rest === null || value === null) return;
    const isCompressed = rest[0] !== 0;
    if (isCompressed && rest[1] !== 0) return;
    const plain = isCompressed ? text(value) : value;
    if (plain !== null) this.keep(key, plain);
  }
}

/** What stands before the first zero byte, and behind it; null where there is none. */
function split(data: Uint8Array): [Uint8Array, Uint8Array] | null {
  const at = data.indexOf(0);
  return at < 0 ? null : [data.subarray(0, at), data.subarray(at + 1)];
}

/** Inflated text; null of damaged data. Throws Refused "corrupt" beyond the bound. */
function text(data: Uint8Array): Uint8Array | null {
  const plain = inflated(data, MAX_TEXT_BYTES, false);
  if (plain === "too-large") throw corrupt("text that inflates too far");
  return plain === "damaged" ? null : plain;
}

/** A colour profile is not used, but a bomb in it is none the less refused. */
function profile(data: Uint8Array): void {
  const method = data[data.indexOf(0) + 1];
  if (method !== 0) throw corrupt("an unknown compression of a colour profile");
  text(data.subarray(data.indexOf(0) + 2));
}
