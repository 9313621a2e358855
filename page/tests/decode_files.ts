/**
 * Decodes files with the page's decoders and says what came of each, for tests that hold them to Python's.
 *
 * node decode_files.cjs PAGE_FOLDER < a JSON list of paths; one JSON object a line: path, then code (a refusal's) or
 * sha256 of the pixels, height, width, format, bitsStored and facts. With a second argument, a folder, the pixels are
 * written there as 0, 1, 2 ... in the order of the files.
 */
import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";

import { setCodecFiles } from "../src/decode/codecs";
import { decode } from "../src/decode/decode";
import { Refused } from "../src/types";

const PACKAGES: Record<string, string> = {
  "libjpegturbowasm_decode.wasm": "codec-libjpeg-turbo-8bit",
  "charlswasm_decode.wasm": "codec-charls",
  "openjpegwasm_decode.wasm": "codec-openjpeg",
};

async function main(pageFolder: string, pixelFolder: string | undefined): Promise<void> {
  setCodecFiles(async (name) => {
    const bytes = await readFile(join(pageFolder, "node_modules/@cornerstonejs", PACKAGES[name], "dist", name));
    return Uint8Array.from(bytes).buffer;
  });
  const paths = JSON.parse(readFileSync(0, "utf8")) as string[];
  for (const [index, path] of paths.entries()) {
    const write = (pixels: Uint8Array): void => {
      if (pixelFolder !== undefined) writeFileSync(join(pixelFolder, String(index)), pixels);
    };
    process.stdout.write(`${JSON.stringify({ path, ...(await outcome(path, write)) })}\n`);
  }
}

async function outcome(path: string, write: (pixels: Uint8Array) => void): Promise<object> {
  const start = performance.now();
  try {
    const { pixels, ...rest } = await decode(new Uint8Array(await readFile(path)));
    write(pixels);
    const sha256 = createHash("sha256").update(pixels).digest("hex");
    return { sha256, ...rest, milliseconds: performance.now() - start };
  } catch (error) {
    if (error instanceof Refused) return { code: error.code, detail: error.detail };
    throw error;
  }
}

void main(process.argv[2], process.argv[3]);
