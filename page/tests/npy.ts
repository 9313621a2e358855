/** Arrays that numpy.save wrote: NPY 1.0, in C order, of the two types a bundle holds. */

export interface NpyArray {
  shape: number[];
  values: Uint8Array | Float32Array;
}

/** The array in the bytes of a .npy file. Throws Error for another type or order. */
export function readNpy(bytes: Uint8Array): NpyArray {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const start = 10 + view.getUint16(8, true);
  const header = new TextDecoder("latin1").decode(bytes.subarray(10, start));
  const [, type] = /'descr': '([^']*)'/.exec(header) ?? [];
  const [, sides] = /'shape': \(([^)]*)\)/.exec(header) ?? [];
  const data = Uint8Array.from(bytes.subarray(start));
  if (header.includes("'fortran_order': False") && sides !== undefined) {
    const shape = sides.split(",").filter((side) => side.trim() !== "").map(Number);
    if (type === "|u1") return { shape, values: data };
    if (type === "<f4") return { shape, values: new Float32Array(data.buffer) };
  }
  throw new Error(`not an array that is read here: ${header}`);
}
