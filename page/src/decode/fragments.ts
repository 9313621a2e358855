/** Compressed frames in a DICOM file (PS3.5 section A.4). */
import { ByteReader } from "./byte_reader";
import { joined } from "./inflate";
import { corrupt } from "./limits";

const [ITEM, SEQUENCE_END, UNDEFINED_LENGTH] = [0xfffee000, 0xfffee0dd, 0xffffffff];

/** The first frame's bytes: its fragments joined. Throws Refused "corrupt". */
export function firstFrame(value: Uint8Array): Uint8Array {
  const reader = new ByteReader(value, 0, true);
  if (tagOf(reader) !== ITEM) throw corrupt("no offset table before the compressed pixels");
  const length = reader.uint32();
  if (length % 4 !== 0) throw corrupt("a broken offset table");
  const table = new ByteReader(reader.take(length), 0, true);
  const offsets = Array.from({ length: length / 4 }, () => table.uint32());
  const from = reader.at + (offsets[0] ?? 0);
  const to = offsets.length > 1 ? from + offsets[1] - offsets[0] : value.length;
  const fragments = fragmentsOf(value.subarray(from, to));
  if (fragments.length === 0) throw corrupt("no compressed pixels");
  return joined(fragments);
}

function fragmentsOf(value: Uint8Array): Uint8Array[] {
  const reader = new ByteReader(value, 0, true);
  const fragments: Uint8Array[] = [];
  while (reader.left >= 4) {
    const tag = tagOf(reader);
    if (tag === SEQUENCE_END) break;
    if (tag !== ITEM) throw corrupt("a fragment that is no item");
    const length = reader.uint32();
    if (length === UNDEFINED_LENGTH) throw corrupt("a fragment of undefined length");
    fragments.push(reader.take(Math.min(length, reader.left)));
  }
  return fragments;
}

function tagOf(reader: ByteReader): number {
  return reader.uint16() * 0x10000 + reader.uint16();
}
