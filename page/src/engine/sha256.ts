/** SHA-256 (FIPS 180-4) in hexadecimal: by the browser where it offers that, else computed here. */

const BLOCK_BYTES = 64;

/** The first 32 bits of the fractional part of `root` of each of the first `count` primes. */
function fractions(count: number, root: (value: number) => number): Uint32Array {
  const primes: number[] = [];
  for (let candidate = 2; primes.length < count; candidate++) {
    if (primes.every((prime) => candidate % prime !== 0)) primes.push(candidate);
  }
  return Uint32Array.from(primes, (prime) => Math.floor((root(prime) % 1) * 2 ** 32));
}

const ROUND_CONSTANTS = fractions(64, Math.cbrt);
const START = fractions(8, Math.sqrt);

/** The digest of `bytes`, 64 hexadecimal digits. */
export async function sha256(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  // Browsers offer crypto.subtle to https and localhost alone; a page in a hospital's own network is often neither.
  const offered = globalThis.crypto?.subtle as SubtleCrypto | undefined;
  return offered ? hexadecimal(new Uint8Array(await offered.digest("SHA-256", bytes))) : computedSha256(bytes);
}

/** The same without the browser's help. */
export function computedSha256(bytes: Uint8Array): string {
  const state = START.slice();
  const schedule = new Uint32Array(64);
  const whole = bytes.length - (bytes.length % BLOCK_BYTES);
  for (let at = 0; at < whole; at += BLOCK_BYTES) digestBlock(state, schedule, bytes, at);
  const end = lastBlocks(bytes.subarray(whole), bytes.length);
  for (let at = 0; at < end.length; at += BLOCK_BYTES) digestBlock(state, schedule, end, at);
  const digest = new Uint8Array(32);
  const view = new DataView(digest.buffer);
  state.forEach((word, place) => view.setUint32(4 * place, word));
  return hexadecimal(digest);
}

/** What is left after the whole blocks, padded: a one bit, zeros, and the length of all in bits. */
function lastBlocks(rest: Uint8Array, numBytes: number): Uint8Array {
  const padded = new Uint8Array(rest.length < BLOCK_BYTES - 8 ? BLOCK_BYTES : 2 * BLOCK_BYTES);
  padded.set(rest);
  padded[rest.length] = 0x80;
  const view = new DataView(padded.buffer);
  view.setUint32(padded.length - 8, Math.floor(numBytes / 2 ** 29));
  view.setUint32(padded.length - 4, (numBytes % 2 ** 29) * 8);
  return padded;
}

function digestBlock(state: Uint32Array, schedule: Uint32Array, bytes: Uint8Array, at: number): void {
  expand(schedule, bytes, at);
  let [a, b, c, d, e, f, g, h] = state;
  for (let round = 0; round < 64; round++) {
    const sums = turned(e, 6) ^ turned(e, 11) ^ turned(e, 25);
    const first = (h + sums + ((e & f) ^ (~e & g)) + ROUND_CONSTANTS[round] + schedule[round]) | 0;
    const second = ((turned(a, 2) ^ turned(a, 13) ^ turned(a, 22)) + ((a & b) ^ (a & c) ^ (b & c))) | 0;
    [h, g, f, e] = [g, f, e, (d + first) | 0];
    [d, c, b, a] = [c, b, a, (first + second) | 0];
  }
  [a, b, c, d, e, f, g, h].forEach((word, place) => (state[place] += word));
}

/** The message schedule of the block at `at`. */
function expand(schedule: Uint32Array, bytes: Uint8Array, at: number): void {
  for (let place = 0; place < 16; place++) {
    const from = at + 4 * place;
    schedule[place] = (bytes[from] << 24) | (bytes[from + 1] << 16) | (bytes[from + 2] << 8) | bytes[from + 3];
  }
  for (let place = 16; place < 64; place++) {
    const [early, late] = [schedule[place - 15], schedule[place - 2]];
    const mixedEarly = turned(early, 7) ^ turned(early, 18) ^ (early >>> 3);
    const mixedLate = turned(late, 17) ^ turned(late, 19) ^ (late >>> 10);
    schedule[place] = schedule[place - 16] + mixedEarly + schedule[place - 7] + mixedLate;
  }
}

/** `word` turned right by `bits`. */
function turned(word: number, bits: number): number {
  return (word >>> bits) | (word << (32 - bits));
}

function hexadecimal(digest: Uint8Array): string {
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
