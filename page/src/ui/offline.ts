/** Brings the service worker up: offline use, and clean changes from one version of the site to the next. */

import { readPrecache } from "./precache";

export interface OfflineListener {
  /** All files are stored and this page is served from them. */
  stored(): void;
  /** A newer version is stored; `takeOver` reloads the page with it. */
  updated(takeOver: () => void): void;
}

/** Resolves when the worker is registered. Does nothing where the browser has none or the address is not secure. */
export async function keepForOffline(listener: OfflineListener): Promise<void> {
  if (!isSecureContext || !("serviceWorker" in navigator)) return;
  const { serviceWorker } = navigator;
  let isTakingOver = false;
  serviceWorker.addEventListener("controllerchange", () => {
    if (isTakingOver) location.reload();
    else listener.stored();
  });
  if (serviceWorker.controller !== null) listener.stored();
  const version = await offeredVersion();
  if (version === null) return;
  const registration = await serviceWorker.register(`service-worker.js?version=${encodeURIComponent(version)}`);
  const offer = () => {
    const { waiting } = registration;
    if (waiting === null || serviceWorker.controller === null) return;
    listener.updated(() => {
      isTakingOver = true;
      waiting.postMessage("take-over");
    });
  };
  offer();
  registration.addEventListener("updatefound", () => {
    registration.installing?.addEventListener("statechange", offer);
  });
}

/** The version that the server has now; null when it cannot be reached or offers none. */
async function offeredVersion(): Promise<string | null> {
  try {
    const response = await fetch("precache.json", { cache: "no-store" });
    return response.ok ? readPrecache(await response.json()).version : null;
  } catch {
    return null;
  }
}
