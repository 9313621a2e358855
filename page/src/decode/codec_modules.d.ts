/** The codecs' modules have no types of their own; what is used of them is in codecs.ts. */
declare module "@cornerstonejs/codec-libjpeg-turbo-8bit/decodewasmjs" {
  const make: (options: import("./codecs").EmscriptenOptions) => Promise<import("./codecs").JpegModule>;
  export default make;
}
declare module "@cornerstonejs/codec-charls/decodewasmjs" {
  const make: (options: import("./codecs").EmscriptenOptions) => Promise<import("./codecs").JpegLsModule>;
  export default make;
}
declare module "@cornerstonejs/codec-openjpeg/decodewasmjs" {
  const make: (options: import("./codecs").EmscriptenOptions) => Promise<import("./codecs").Jpeg2000Module>;
  export default make;
}
declare module "jpeg-lossless-decoder-js" {
  export class Decoder {
    constructor(buffer: ArrayBuffer, bytesPerSample: number);
    /** What is read from, and how far. */
    readonly stream: { readonly index: number } | null;
    /** Rows of the frame, and how many of them are done. */
    readonly yDim: number;
    readonly yLoc: number;
    decode(buffer: ArrayBuffer, offset: number, length: number, bytesPerSample: number): Uint8Array | Uint16Array | null;
  }
}
