import { randomBytes } from "node:crypto";

import { expect, test } from "vitest";

import { openBundle } from "../../src/engine/bundle";
import { OpenFailure } from "../../src/engine/failure";
import { counted, type FetchFile } from "../../src/engine/fetching";
import { computedSha256, sha256 } from "../../src/engine/sha256";
import { SITE } from "../files";
import { type Bytes, digestOf, encoded, siteOf } from "./site";

const SITE_FILES = { "model.onnx": encoded("a model") };
const CARD = `${SITE}bundle/card.json`;

type Files = Record<string, Bytes>;

function reader(files: Files): (url: string) => Promise<Bytes> {
  return async (url) => files[url] ?? Promise.reject(new OpenFailure("unreachable", url));
}

async function reasonOf(files: Files, name = "model.onnx"): Promise<string> {
  try {
    await (await openBundle(SITE, reader(files))).read(name);
    return "none";
  } catch (error) {
    if (error instanceof OpenFailure) return error.reason;
    throw error;
  }
}

test("an intact bundle is read, and its card says what it says", async () => {
  const files = siteOf(SITE_FILES);
  const bundle = await openBundle(`${SITE}site.json`, reader(files));
  expect(bundle.digest).toBe(digestOf(files[CARD]));
  expect(bundle.has("model.onnx")).toBe(true);
  expect(bundle.has("toString")).toBe(false);
  expect(new TextDecoder().decode(await bundle.read("model.onnx"))).toBe("a model");
  expect(bundle.card.builds).toMatchObject({ fp16: null, int8: null, shipped: "fp32" });
});

test("any changed byte of any verified file is found", async () => {
  expect(await reasonOf(siteOf(SITE_FILES))).toBe("none");
  for (const name of ["card.json", "card.sha256", "model.onnx"]) {
    const length = siteOf(SITE_FILES)[`${SITE}bundle/${name}`].length;
    for (let place = 0; place < length; place++) {
      const files = siteOf(SITE_FILES);
      const changed = (files[`${SITE}bundle/${name}`] = files[`${SITE}bundle/${name}`].slice());
      changed[place] ^= 1;
      expect(await reasonOf(files), `${name}, byte ${place}`).toBe("damaged-bundle");
    }
  }
});

test("a stale copy in a cache is not the last word", async () => {
  const files = siteOf(SITE_FILES);
  for (const name of ["card.json", "card.sha256", "model.onnx"]) {
    const url = `${SITE}bundle/${name}`;
    const asked: string[] = [];
    const bundle = await openBundle(SITE, async (one, cache = "no-cache") => {
      if (one === url) asked.push(cache);
      return one === url && cache === "no-cache" ? encoded("stale") : files[one];
    });
    expect(new TextDecoder().decode(await bundle.read("model.onnx"))).toBe("a model");
    expect(asked).toEqual(["no-cache", "reload"]);
  }
});

test("a newer card is told apart from a damaged one", async () => {
  expect(await reasonOf(siteOf(SITE_FILES, { schema_version: 3 }))).toBe("newer-bundle");
  expect(await reasonOf(siteOf(SITE_FILES, { schema_version: 1 }))).toBe("none");
  expect(await reasonOf(siteOf(SITE_FILES, { schema_version: "2" }))).toBe("damaged-bundle");
  expect(await reasonOf(siteOf(SITE_FILES, { findings: [] }))).toBe("damaged-bundle");
  expect(await reasonOf(siteOf(SITE_FILES, { builds: null }))).toBe("damaged-bundle");
});

test("a file that the card does not list, or outside the bundle, is not read", async () => {
  expect(await reasonOf(siteOf(SITE_FILES), "other.onnx")).toBe("damaged-bundle");
  for (const name of ["../site.json", "http://elsewhere/model.onnx", "/model.onnx"]) {
    expect(await reasonOf(siteOf(SITE_FILES, { sha256: { [name]: "0" } }), name)).toBe("damaged-bundle");
  }
});

test("a site without a bundle is no damaged bundle", async () => {
  const files = siteOf(SITE_FILES);
  const without = ['{"bundle": "bundle", "precision": "fp32"}', '{"bundle": "b/", "precision": "x"}'];
  for (const text of ["", "null", "{}", ...without]) {
    files[`${SITE}site.json`] = encoded(text);
    expect(await reasonOf(files)).toBe("other");
  }
});

test("the digest computed here is the one of others", async () => {
  for (const length of [0, 1, 54, 55, 56, 57, 63, 64, 65, 119, 120, 1000, 100_003]) {
    const bytes = new Uint8Array(randomBytes(length));
    expect(computedSha256(bytes)).toBe(digestOf(bytes));
    expect(await sha256(bytes)).toBe(digestOf(bytes));
  }
});

test("bytes of several files are counted together, and their total is unknown until all are", async () => {
  const reports: [number, number | null][] = [];
  const fetch: FetchFile = async (url, onBytes) => {
    onBytes(1, url === "known" ? 4 : null);
    await Promise.resolve();
    return new Uint8Array(4);
  };
  const read = counted(fetch, (loaded, total) => reports.push([loaded, total]));
  await Promise.all([read("known"), read("unknown")]);
  expect(reports[0]).toEqual([1, 4]);
  expect(reports.some(([loaded, total]) => loaded === 2 && total === null)).toBe(true);
  expect(reports.at(-1)).toEqual([8, 8]);
});
