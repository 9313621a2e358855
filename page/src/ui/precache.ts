/** What the page keeps for offline use: the site's own files, each checked against its hash. Never an image. */

/** precache.json, which whoever serves the site writes. */
export interface Precache {
  /** Changes whenever a file does. */
  version: string;
  /** Addresses relative to precache.json. */
  files: { url: string; sha256: string }[];
}

const PREFIX = "pocketcxr-";

export function cacheName(version: string): string {
  return PREFIX + version;
}

/** The page's own caches of other versions. */
export function outdatedCaches(names: readonly string[], version: string): string[] {
  return names.filter((name) => name.startsWith(PREFIX) && name !== cacheName(version));
}

/** The precache in a parsed precache.json. Throws TypeError where it is none. */
export function readPrecache(data: unknown): Precache {
  const precache = data as Partial<Precache> | null;
  const isRight =
    typeof precache?.version === "string" &&
    Array.isArray(precache.files) &&
    precache.files.every((file) => typeof file?.url === "string" && /^[0-9a-f]{64}$/.test(file.sha256));
  if (!isRight) throw new TypeError("precache.json is not what this page reads; make the site again");
  return precache as Precache;
}

/** The response's bytes as a response of their own. Throws where they are not those of the hash. */
export async function verified(url: string, response: Response, sha256: string): Promise<Response> {
  if (!response.ok) throw new Error(`${url}: answered with status ${response.status}`);
  const bytes = await response.arrayBuffer();
  const digest = await crypto.subtle.digest("SHA-256", bytes);
  const found = Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
  if (found !== sha256) throw new Error(`${url}: is changed or cut short (SHA-256 ${found}, not ${sha256})`);
  const headers = new Headers(response.headers);
  // The bytes are decoded already.
  headers.delete("content-encoding");
  headers.delete("content-length");
  return new Response(bytes, { status: 200, headers });
}

/** The stored file that answers a request; null where the network must. Queries and fragments do not matter. */
export function storedUrl(request: { url: string; method: string; mode: string }, scope: string): string | null {
  const url = new URL(request.url);
  url.search = url.hash = "";
  if (request.method !== "GET" || !url.href.startsWith(scope)) return null;
  return request.mode === "navigate" && url.href === scope ? `${scope}index.html` : url.href;
}
