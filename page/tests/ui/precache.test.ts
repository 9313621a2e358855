/** What is kept for offline use: only listed files, only with the right bytes. */

import { createHash } from "node:crypto";
import { describe, expect, test } from "vitest";

import { cacheName, outdatedCaches, readPrecache, storedUrl, verified } from "../../src/ui/precache";

const BODY = "export {};";
const HASH = createHash("sha256").update(BODY).digest("hex");
const SCOPE = "https://example.org/cxr/";
const get = (url: string, mode = "cors") => ({ url, method: "GET", mode });

describe("a fetched file", () => {
  test("with the right bytes is kept with its headers, but not as compressed", async () => {
    const headers = { "content-type": "text/javascript", "content-encoding": "br", "cross-origin-embedder-policy": "require-corp" };
    const kept = await verified("main.js", new Response(BODY, { headers }), HASH);
    expect(await kept.text()).toBe(BODY);
    expect(kept.headers.get("content-encoding")).toBeNull();
    expect(kept.headers.get("content-type")).toBe("text/javascript");
    expect(kept.headers.get("cross-origin-embedder-policy")).toBe("require-corp");
  });

  test("with other bytes or another status is refused by name", async () => {
    await expect(verified("main.js", new Response(`${BODY} `), HASH)).rejects.toThrow(/main\.js.*changed/);
    await expect(verified("main.js", new Response(BODY, { status: 404 }), HASH)).rejects.toThrow(/main\.js.*404/);
  });
});

describe("a request", () => {
  test("below the page is looked up without query and fragment; the page itself is index.html", () => {
    expect(storedUrl(get(`${SCOPE}main.js?x=1#y`), SCOPE)).toBe(`${SCOPE}main.js`);
    expect(storedUrl(get(`${SCOPE}?from=home`, "navigate"), SCOPE)).toBe(`${SCOPE}index.html`);
    expect(storedUrl(get(`${SCOPE}bundle/model_card.html`, "navigate"), SCOPE)).toBe(`${SCOPE}bundle/model_card.html`);
  });

  test("that writes or goes elsewhere is the network's", () => {
    expect(storedUrl({ url: `${SCOPE}api/predict`, method: "POST", mode: "cors" }, SCOPE)).toBeNull();
    expect(storedUrl(get("https://example.org/other.js"), SCOPE)).toBeNull();
    expect(storedUrl(get("blob:https://example.org/1234"), SCOPE)).toBeNull();
  });
});

test("caches of other versions are outdated, caches of other programs are not ours", () => {
  expect(outdatedCaches([cacheName("1"), cacheName("2"), "somebody-else"], "2")).toEqual([cacheName("1")]);
});

test.each([null, {}, { version: "1" }, { version: 1, files: [] }, { version: "1", files: [{ url: "a", sha256: "short" }] }])(
  "%o is no precache.json",
  (data) => expect(() => readPrecache(data)).toThrow(/precache\.json/),
);

test("a precache.json as the server writes it is read", () => {
  const data = { version: "abc", files: [{ url: "main.js", sha256: HASH }] };
  expect(readPrecache(data)).toEqual(data);
});
