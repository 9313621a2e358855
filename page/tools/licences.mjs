/** third-party-licences.txt: the licence of every package that a part of the site was made of. */
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";

/** Libraries in C and C++ that a package has compiled in; their terms are in page/licences. */
const COMPILED_IN = {
  "onnxruntime-web": "onnxruntime.txt",
  "@cornerstonejs/codec-charls": "charls.txt",
  "@cornerstonejs/codec-libjpeg-turbo-8bit": "libjpeg-turbo.txt",
  "@cornerstonejs/codec-openjpeg": "openjpeg.txt",
};
/** Packages without a licence file of their own: where their project's is. */
const ELSEWHERE = {
  "onnxruntime-web": "licences/onnxruntime.txt",
  "@cornerstonejs/codec-libjpeg-turbo-8bit": "node_modules/@cornerstonejs/codec-charls/LICENSE",
  "@cornerstonejs/codec-openjpeg": "node_modules/@cornerstonejs/codec-charls/LICENSE",
};
const LINE = "=".repeat(80);

/** The text for the packages that the paths `inputs`, relative to the folder `page`, are of. */
export async function licences(page, inputs) {
  const names = new Set([...inputs].map(packageOf).filter((name) => name !== null));
  const parts = ["This page is made of the following packages, beside its own sources (Apache-2.0).\n"];
  for (const name of [...names].sort()) parts.push(await licence(page, name));
  return parts.join(`\n${LINE}\n\n`);
}

function packageOf(path) {
  const match = /^node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(path);
  return match === null ? null : match[1];
}

async function licence(page, name) {
  const folder = join(page, "node_modules", name);
  const { version, license } = JSON.parse(await readFile(join(folder, "package.json"), "utf8"));
  const own = (await readdir(folder)).find((file) => /^licen[cs]e/i.test(file));
  const path = own === undefined ? ELSEWHERE[name] : `node_modules/${name}/${own}`;
  if (path === undefined) throw new Error(`${name} has no licence file: find its terms and name them in tools/licences.mjs`);
  const paths = new Set([path, ...(name in COMPILED_IN ? [`licences/${COMPILED_IN[name]}`] : [])]);
  const texts = await Promise.all([...paths].map((each) => readFile(join(page, each), "utf8")));
  return [`${name} ${version} (${license})\n`, ...texts.map((text) => text.trim() + "\n")].join("\n");
}
