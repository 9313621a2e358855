/**
 * The codecs in WebAssembly, each loaded when the first image needs it. Their files lie beside the worker under their
 * own names: libjpegturbowasm_decode.wasm, charlswasm_decode.wasm and openjpegwasm_decode.wasm, from the packages
 * @cornerstonejs/codec-libjpeg-turbo-8bit, -charls and -openjpeg (folder dist).
 */
import { Refused } from "../types";

/** The bytes of a codec's file. */
export type CodecFiles = (name: string) => Promise<ArrayBuffer>;

/** What a codec's module is made with. */
export interface EmscriptenOptions {
  wasmBinary: ArrayBuffer;
  print(line: string): void;
  printErr(line: string): void;
}

/** What a codec says of a decoded image. */
export interface FrameInfo {
  width: number;
  height: number;
  bitsPerSample: number;
  componentCount: number;
  isSigned: boolean;
}

/** A decoder object in a module's memory: its buffers are views that the next call makes invalid. */
export interface FrameDecoder {
  getEncodedBuffer(length: number): Uint8Array;
  decode(): void;
  getFrameInfo(): FrameInfo;
  getDecodedBuffer(): Uint8Array;
  delete(): void;
}

export interface JpegModule {
  JPEGDecoder: new () => FrameDecoder;
}
export interface JpegLsModule {
  JpegLSDecoder: new () => FrameDecoder & { getInterleaveMode(): number };
}
export interface Jpeg2000Module {
  J2KDecoder: new () => FrameDecoder;
}

type Make<M> = (options: EmscriptenOptions) => Promise<M>;

/** A codec's module, made anew after an image broke it. */
export class Codec<M> {
  private module: Promise<M> | null = null;

  constructor(
    private readonly name: string,
    private readonly importMake: () => Promise<{ default: Make<M> | { default: Make<M> } }>,
  ) {}

  /** The module. Throws Refused "missing-codec" where its file cannot be had. */
  load(): Promise<M> {
    this.module ??= this.make().catch((error: unknown) => {
      this.forget();
      throw new Refused("missing-codec", `the codec ${this.name} cannot be loaded (${String(error)})`);
    });
    return this.module;
  }

  /** The next image gets a new module: an error left this one's memory as it was then. */
  forget(): void {
    this.module = null;
  }

  private async make(): Promise<M> {
    const [imported, wasmBinary] = await Promise.all([this.importMake(), codecFiles(`${this.name}.wasm`)]);
    // Bundlers disagree on where the one export of a CommonJS module lies.
    const make = typeof imported.default === "function" ? imported.default : imported.default.default;
    const silent = (): void => undefined;
    return make({ wasmBinary, print: silent, printErr: silent });
  }
}

/** JPEG of 8 bits. */
export const jpegCodec = new Codec<JpegModule>(
  "libjpegturbowasm_decode",
  () => import("@cornerstonejs/codec-libjpeg-turbo-8bit/decodewasmjs"),
);
export const jpegLsCodec = new Codec<JpegLsModule>("charlswasm_decode", () => import("@cornerstonejs/codec-charls/decodewasmjs"));
export const jpeg2000Codec = new Codec<Jpeg2000Module>(
  "openjpegwasm_decode",
  () => import("@cornerstonejs/codec-openjpeg/decodewasmjs"),
);

let codecFiles: CodecFiles = async (name) => {
  const response = await fetch(new URL(name, self.location.href));
  if (!response.ok) throw new Error(`${name}: HTTP ${response.status}`);
  return response.arrayBuffer();
};

/** Has the codecs' files come from elsewhere than beside the worker. */
export function setCodecFiles(files: CodecFiles): void {
  codecFiles = files;
}
