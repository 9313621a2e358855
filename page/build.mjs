/**
 * Builds the page into src/pocketcxr/apps/web/site: node build.mjs [FOLDER]
 *
 * Equal sources give equal bytes. Everything is made in memory and written at the end, index.html last, so that a build
 * that was stopped is not taken for a page.
 */
import { createHash } from "node:crypto";
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { basename, dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

import { build } from "esbuild";

import { withCompressed } from "./tools/compress.mjs";
import { licences } from "./tools/licences.mjs";

const PAGE = dirname(fileURLToPath(import.meta.url));
const SITE = join(PAGE, "..", "src", "pocketcxr", "apps", "web", "site");
const INDEX = "index.html";

/** Files that are taken as they are. The plain WebAssembly build of the runtime: the others also hold WebGPU. */
const COPIED = [
  "manifest.webmanifest",
  "node_modules/onnxruntime-web/dist/ort-wasm-simd-threaded.mjs",
  "node_modules/onnxruntime-web/dist/ort-wasm-simd-threaded.wasm",
  "node_modules/@cornerstonejs/codec-libjpeg-turbo-8bit/dist/libjpegturbowasm_decode.wasm",
  "node_modules/@cornerstonejs/codec-charls/dist/charlswasm_decode.wasm",
  "node_modules/@cornerstonejs/codec-openjpeg/dist/openjpegwasm_decode.wasm",
];

const COMMON = {
  absWorkingDir: PAGE,
  bundle: true,
  minify: true,
  write: false,
  metafile: true,
  outdir: "out",
  platform: "browser",
  target: "es2022",
  charset: "utf8",
  legalComments: "none", // third-party-licences.txt has them whole
  logLevel: "warning",
  // onnxruntime-web's entry that keeps its WebAssembly glue in a file of its own, from which its threads start.
  conditions: ["onnxruntime-web-use-extern-wasm"],
  // Asked for in branches that only node takes.
  external: ["fs", "path", "node:*", "module", "worker_threads"],
};

const BUNDLES = [
  { ...COMMON, entryPoints: ["src/main.ts", "style.css"], format: "esm" },
  // What one kind of file needs, such as a DICOM codec, is loaded when such a file comes.
  { ...COMMON, entryPoints: ["src/worker/worker.ts"], entryNames: "[name]", chunkNames: "parts/[name]-[hash]", format: "esm", splitting: true },
  { ...COMMON, entryPoints: ["src/ui/service-worker.ts"], entryNames: "[name]", format: "iife" },
];

/** Every file of the site but the compressed ones: name -> bytes. */
async function site() {
  const files = new Map();
  const inputs = new Set();
  for (const options of BUNDLES) {
    const result = await build({ ...options, entryNames: "[name]" });
    for (const file of result.outputFiles) files.set(relative(join(PAGE, "out"), file.path).replaceAll("\\", "/"), Buffer.from(file.contents));
    for (const output of Object.values(result.metafile.outputs)) {
      for (const [path, { bytesInOutput }] of Object.entries(output.inputs)) if (bytesInOutput > 0) inputs.add(path);
    }
  }
  for (const path of COPIED) {
    files.set(basename(path), await readFile(join(PAGE, path)));
    inputs.add(path);
  }
  for (const name of (await readdir(join(PAGE, "icons"))).sort()) files.set(`icons/${name}`, await readFile(join(PAGE, "icons", name)));
  files.set("third-party-licences.txt", Buffer.from(await licences(PAGE, inputs)));
  files.set(INDEX, Buffer.from(withIntegrity(await readFile(join(PAGE, INDEX), "utf8"), files)));
  return files;
}

/** index.html with the digests of its script and style: a browser runs no others. */
function withIntegrity(html, files) {
  const attributes = [
    ["main.js", 'src="main.js"'],
    ["style.css", 'href="style.css"'],
  ];
  return attributes.reduce((text, [name, attribute]) => {
    if (text.split(attribute).length !== 2) throw new Error(`${INDEX}: ${attribute} must occur once`);
    const digest = createHash("sha384").update(files.get(name)).digest("base64");
    return text.replace(attribute, `${attribute} integrity="sha384-${digest}"`);
  }, html);
}

async function write(files, folder) {
  await rm(folder, { recursive: true, force: true });
  const names = [...files.keys()].filter((name) => name !== INDEX);
  for (const name of [...names, INDEX]) {
    const path = join(folder, name);
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, files.get(name));
  }
}

const folder = process.argv[2] ?? SITE;
const files = await withCompressed(await site(), join(PAGE, "node_modules", ".cache", "pocketcxr"));
await write(files, folder);
const size = (suffix) => [...files].reduce((sum, [name, data]) => sum + (suffix.test(name) ? data.length : 0), 0);
const megabytes = (bytes) => (bytes / 1e6).toFixed(1);
console.log(`page: ${folder} (${files.size} files, ${megabytes(size(/./))} MB, of which .br ${megabytes(size(/\.br$/))} MB)`);
