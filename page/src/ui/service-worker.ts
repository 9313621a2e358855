/** Keeps the site's files for offline use.
 *
 * Its address carries the version (service-worker.js?version=...), so a new version is a new worker: the browser installs
 * it beside the old one, which goes on serving the open pages whole. Images never come here: the page reads them from
 * disk, without a request.
 */

import { cacheName, outdatedCaches, readPrecache, storedUrl, verified } from "./precache";

declare const self: ServiceWorkerGlobalScope;

const version = new URL(self.location.href).searchParams.get("version") ?? "";

self.addEventListener("install", (event) => event.waitUntil(install()));
self.addEventListener("activate", (event) => event.waitUntil(activate()));
self.addEventListener("message", (event) => {
  if (event.data === "take-over") void self.skipWaiting();
});
self.addEventListener("fetch", (event) => {
  const url = storedUrl(event.request, self.registration.scope);
  if (url !== null) event.respondWith(answer(url, event.request));
});

/** Fetches and checks every file; one that is missing or wrong leaves the former version in charge. */
async function install(): Promise<void> {
  const listed = await fetch(new URL("precache.json", self.registration.scope), { cache: "no-store" });
  const precache = readPrecache(await listed.json());
  if (precache.version !== version) throw new Error(`precache.json is of version ${precache.version}, not ${version}`);
  const cache = await caches.open(cacheName(version));
  for (const { url, sha256 } of precache.files) {
    const address = new URL(url, self.registration.scope).href;
    if ((await cache.match(address)) !== undefined) continue;
    await cache.put(address, await verified(url, await fetch(address, { cache: "no-cache" }), sha256));
  }
}

async function activate(): Promise<void> {
  for (const name of outdatedCaches(await caches.keys(), version)) await caches.delete(name);
  await self.clients.claim();
}

async function answer(url: string, request: Request): Promise<Response> {
  const cache = await caches.open(cacheName(version));
  return (await cache.match(url)) ?? fetch(request);
}
