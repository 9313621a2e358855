import { createServer, type OutgoingHttpHeaders, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { gzipSync } from "node:zlib";

import { afterAll, beforeAll, expect, test } from "vitest";

import { OpenFailure } from "../../src/engine/failure";
import { fetchFile } from "../../src/engine/fetching";

const CONTENT = Buffer.alloc(300_000, "a file");
const PACKED = gzipSync(CONTENT);

const ANSWERS: Record<string, [number, OutgoingHttpHeaders, Buffer]> = {
  "/plain": [200, { "Content-Length": CONTENT.length }, CONTENT],
  "/packed": [200, { "Content-Length": PACKED.length, "Content-Encoding": "gzip" }, PACKED],
  "/told": [200, { "Content-Encoding": "gzip", "X-File-Size": CONTENT.length }, PACKED],
  "/broken": [500, {}, CONTENT],
  "/empty": [200, { "Content-Length": 0 }, Buffer.alloc(0)],
};

let server: Server;
let site: string;

beforeAll(async () => {
  server = createServer((request, response) => {
    const [status, headers, body] = ANSWERS[request.url ?? ""] ?? [404, {}, CONTENT];
    response.writeHead(status, headers).end(body);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  site = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});

afterAll(() => {
  server.closeAllConnections();
  server.close();
});

async function fetched(name: string): Promise<{ bytes: Uint8Array; reports: [number, number | null][] }> {
  const reports: [number, number | null][] = [];
  const bytes = await fetchFile(`${site}${name}`, (loaded, total) => reports.push([loaded, total]), "no-cache");
  return { bytes, reports };
}

test.each([
  ["/plain", CONTENT.length],
  ["/told", CONTENT.length],
  ["/packed", null],
])("%s comes whole, and its size is told where it is known", async (name, total) => {
  const { bytes, reports } = await fetched(name);
  expect(CONTENT.equals(bytes)).toBe(true);
  expect(reports[0]).toEqual([0, total]);
  expect(reports[reports.length - 1]).toEqual([CONTENT.length, total]);
});

test("an empty file is empty", async () => expect((await fetched("/empty")).bytes).toHaveLength(0));

test("a missing file, a failing server and none at all are told apart", async () => {
  const reasonOf = (url: string): Promise<string> =>
    fetchFile(url, () => undefined, "reload").then(
      () => "none",
      (error: unknown) => (error instanceof OpenFailure ? error.reason : "no OpenFailure"),
    );
  expect(await reasonOf(`${site}/missing`)).toBe("damaged-bundle");
  expect(await reasonOf(`${site}/broken`)).toBe("unreachable");
  expect(await reasonOf("http://127.0.0.1:1/")).toBe("unreachable");
});
