/** The compressed forms that servers hand out instead of a file. */
import { createHash } from "node:crypto";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { brotliCompress, constants, gzip } from "node:zlib";

const COMPRESSIBLE = /\.(html|css|js|mjs|json|wasm|webmanifest|svg|txt)$/;
/** A form that saves less than a twentieth is left out. */
const WORTHWHILE = 0.95;

const FORMS = {
  ".br": (data) =>
    promisify(brotliCompress)(data, {
      params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_LGWIN]: 24, [constants.BROTLI_PARAM_SIZE_HINT]: data.length },
    }),
  ".gz": (data) => promisify(gzip)(data, { level: 9 }),
};

/** `files` (name -> bytes) with name.br and name.gz. What was compressed before is taken from the folder `cache`. */
export async function withCompressed(files, cache) {
  await mkdir(cache, { recursive: true });
  const all = new Map(files);
  const wanted = [...files].filter(([name]) => COMPRESSIBLE.test(name)).flatMap(([name, data]) => Object.keys(FORMS).map((form) => [name, data, form]));
  const made = await Promise.all(wanted.map(async ([name, data, form]) => [name + form, data, await remembered(data, form, cache)]));
  for (const [name, data, smaller] of made) if (smaller.length < WORTHWHILE * data.length) all.set(name, smaller);
  return all;
}

/** Brotli takes half a minute for the runtime, which changes with its version alone. */
async function remembered(data, form, cache) {
  const path = join(cache, createHash("sha256").update(data).digest("hex") + form);
  try {
    return await readFile(path);
  } catch {
    const smaller = await FORMS[form](data);
    await writeFile(path, smaller);
    return smaller;
  }
}
