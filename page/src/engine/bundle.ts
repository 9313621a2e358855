/** The bundle behind a site: every file that is read is verified, card.sha256 -> card.json -> the file. */
import type { Card, Site } from "../types";
import { readCard } from "./card";
import { OpenFailure } from "./failure";
import type { CacheUse, ReadUrl } from "./fetching";
import { sha256 } from "./sha256";

const CARD = "card.json";
const SEAL = "card.sha256";

/** A verified card, and the way to verified files. */
export interface Bundle {
  site: Site;
  card: Card;
  /** SHA-256 of card.json: it identifies the bundle. */
  digest: string;
  /** Whether the card lists the file. */
  has(name: string): boolean;
  /** The file's bytes as they were packed. Throws OpenFailure. */
  read(name: string): Promise<Uint8Array<ArrayBuffer>>;
}

/** The bundle of the site whose site.json is at `siteUrl` (or in that folder, where it ends with a slash). */
export async function openBundle(siteUrl: string, fetch: ReadUrl): Promise<Bundle> {
  const siteFile = siteUrl.endsWith("/") ? `${siteUrl}site.json` : siteUrl;
  const site = readSite(await fetch(siteFile), siteFile);
  const folder = new URL(site.bundle, siteFile).href;
  const { cardBytes, digest } = await fromCacheOrAnew((cache) => sealedCard(folder, fetch, cache));
  const card = readCard(cardBytes, folder + CARD);
  const read = async (name: string): Promise<Uint8Array<ArrayBuffer>> => {
    const expected = card.sha256[name];
    if (expected === undefined) throw damaged(`${folder}${CARD} does not list ${name}`);
    return fromCacheOrAnew(async (cache) => {
      const bytes = await fetch(fileUrl(folder, name), cache);
      const actual = await sha256(bytes);
      if (actual === expected) return bytes;
      const both = `SHA-256 ${actual.slice(0, 12)}..., its card says ${expected.slice(0, 12)}...`;
      throw damaged(`${folder}${name} was changed or damaged (${both})`);
    });
  };
  return { site, card, digest, has: (name) => Object.hasOwn(card.sha256, name), read };
}

/** What `read` gives, past all caches where the first answer is damaged: servers compare times of whole seconds, so a
 * cached copy may pass for the file that took its place. */
async function fromCacheOrAnew<T>(read: (cache: CacheUse) => Promise<T>): Promise<T> {
  try {
    return await read("no-cache");
  } catch (error) {
    if (!(error instanceof OpenFailure && error.reason === "damaged-bundle")) throw error;
    return read("reload");
  }
}

async function sealedCard(folder: string, fetch: ReadUrl, cache: CacheUse) {
  const [cardBytes, seal] = await Promise.all([fetch(fileUrl(folder, CARD), cache), fetch(fileUrl(folder, SEAL), cache)]);
  const digest = await sha256(cardBytes);
  if (new TextDecoder().decode(seal) !== `${digest}  ${CARD}\n`) {
    throw damaged(`${folder}${CARD} is not the one that was packed (it does not match ${SEAL})`);
  }
  return { cardBytes, digest };
}

function readSite(bytes: Uint8Array, where: string): Site {
  try {
    const site = JSON.parse(new TextDecoder().decode(bytes)) as Partial<Site> | null;
    const { bundle, precision, madeBy } = site ?? {};
    const isKnown = precision === "fp32" || precision === "fp16" || precision === "int8";
    if (typeof bundle === "string" && bundle.endsWith("/") && isKnown) {
      return { bundle, precision, madeBy: String(madeBy) };
    }
  } catch (error) {
    throw new OpenFailure("other", `${where} cannot be read (${String(error)}); export the site again`);
  }
  throw new OpenFailure("other", `${where} does not say which bundle to run; export the site again`);
}

/** The URL of a bundle's file, which must not lead out of the bundle. */
function fileUrl(folder: string, name: string): string {
  const url = new URL(name, folder).href;
  if (!url.startsWith(folder)) throw damaged(`${folder}${CARD} names ${name}, which lies outside the bundle`);
  return url;
}

function damaged(what: string): OpenFailure {
  return new OpenFailure("damaged-bundle", `${what}; copy the bundle again`);
}
