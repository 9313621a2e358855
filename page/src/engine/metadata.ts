/** The custom metadata of an ONNX file, which onnxruntime-web does not show: ModelProto.metadata_props, field 14. */

const METADATA_PROPS = 14;
const [KEY, VALUE] = [1, 2];
/** Wire types of protobuf that ONNX meets at the top level. */
const [VARINT, EIGHT_BYTES, LENGTH, FOUR_BYTES] = [0, 1, 2, 5];

interface Field {
  number: number;
  /** The content of a field with a length; empty for a number. */
  content: Uint8Array;
}

/** Key -> value. Throws RangeError where `model` is no protobuf message. */
export function customMetadata(model: Uint8Array): Map<string, string> {
  const entries = new Map<string, string>();
  const text = new TextDecoder();
  for (const field of fields(model)) {
    if (field.number !== METADATA_PROPS) continue;
    const parts = new Map(Array.from(fields(field.content), (part) => [part.number, text.decode(part.content)]));
    entries.set(parts.get(KEY) ?? "", parts.get(VALUE) ?? "");
  }
  return entries;
}

function* fields(message: Uint8Array): Generator<Field> {
  let at = 0;
  const varint = (): number => {
    let [value, scale] = [0, 1];
    for (;;) {
      if (at >= message.length) throw new RangeError("the message ends within a number");
      const byte = message[at++];
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
      scale *= 0x80;
    }
  };
  while (at < message.length) {
    const tag = varint();
    const [number, wireType] = [Math.floor(tag / 8), tag % 8];
    if (wireType === VARINT) varint();
    const length = lengthOf(wireType, varint);
    if (at + length > message.length) throw new RangeError("the message ends within a field");
    yield { number, content: wireType === LENGTH ? message.subarray(at, at + length) : message.subarray(0, 0) };
    at += length;
  }
}

/** How many bytes follow. */
function lengthOf(wireType: number, varint: () => number): number {
  switch (wireType) {
    case VARINT:
      return 0;
    case EIGHT_BYTES:
      return 8;
    case LENGTH:
      return varint();
    case FOUR_BYTES:
      return 4;
    default:
      throw new RangeError(`wire type ${wireType} is not known`);
  }
}
