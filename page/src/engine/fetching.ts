/** Files over the network, with the bytes counted as they come. */
import { OpenFailure } from "./failure";

/** Called as bytes of a file arrive: how many so far, and how many there will be (null: the server does not say). */
export type OnBytes = (loaded: number, total: number | null) => void;

/** How a cached copy is used: "no-cache" after the server has agreed, "reload" never. */
export type CacheUse = "no-cache" | "reload";

/** The bytes of the file at `url`. Throws OpenFailure. */
export type FetchFile = (url: string, onBytes: OnBytes, cache: CacheUse) => Promise<Uint8Array<ArrayBuffer>>;

/** The same, for who does not count bytes. */
export type ReadUrl = (url: string, cache?: CacheUse) => Promise<Uint8Array<ArrayBuffer>>;

const NOT_FOUND = 404;

/** The file at `url` as the server has it now. */
export async function fetchFile(url: string, onBytes: OnBytes, cache: CacheUse): Promise<Uint8Array<ArrayBuffer>> {
  try {
    const response = await fetch(url, { cache, credentials: "same-origin" });
    if (response.status === NOT_FOUND) throw new OpenFailure("damaged-bundle", `${url} is missing; copy it again`);
    if (!response.ok) throw new OpenFailure("unreachable", `${url}: the server answers ${response.status}`);
    return await received(response, onBytes);
  } catch (error) {
    if (error instanceof OpenFailure) throw error;
    throw new OpenFailure("unreachable", `${url} cannot be fetched (${String(error)}); check the connection`);
  }
}

async function received(response: Response, onBytes: OnBytes): Promise<Uint8Array<ArrayBuffer>> {
  const total = announcedBytes(response.headers);
  onBytes(0, total);
  if (response.body === null) return new Uint8Array(await response.arrayBuffer());
  const chunks: Uint8Array[] = [];
  let loaded = 0;
  const reader = response.body.getReader();
  for (let step = await reader.read(); !step.done; step = await reader.read()) {
    chunks.push(step.value);
    loaded += step.value.length;
    onBytes(loaded, total);
  }
  return joined(chunks, loaded);
}

/** The file's own size. Content-Length counts compressed bytes where a file is sent compressed. */
function announcedBytes(headers: Headers): number | null {
  const stated = headers.get("X-File-Size") ?? (headers.has("Content-Encoding") ? null : headers.get("Content-Length"));
  const size = Number(stated ?? Number.NaN);
  return Number.isSafeInteger(size) && size >= 0 ? size : null;
}

function joined(chunks: Uint8Array[], numBytes: number): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(numBytes);
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.length;
  }
  return whole;
}

/** `fetch` with the bytes of all files told to `report` together; the total is null until every open file has one. */
export function counted(fetch: FetchFile, report: OnBytes): ReadUrl {
  const files = new Map<string, { loaded: number; total: number | null }>();
  const tell = (): void => {
    let [loaded, total]: [number, number | null] = [0, 0];
    for (const file of files.values()) {
      loaded += file.loaded;
      total = total === null || file.total === null ? null : total + file.total;
    }
    report(loaded, total);
  };
  return async (url, cache = "no-cache") => {
    files.set(url, { loaded: 0, total: null });
    const onBytes: OnBytes = (loaded, total) => {
      files.set(url, { loaded, total });
      tell();
    };
    const bytes = await fetch(url, onBytes, cache);
    files.set(url, { loaded: bytes.length, total: bytes.length });
    tell();
    return bytes;
  };
}
