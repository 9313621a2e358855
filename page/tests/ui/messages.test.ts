/** Both languages say everything, and index.html asks for nothing else. */

import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";

import { LANGUAGES, MESSAGES, type MessageKey, preferredLanguage, wordsOf } from "../../src/messages/messages";
import type { FromWorker, RefusalCode, WarningCode } from "../../src/types";

// Records, so that the compiler misses none.
const REFUSALS: Record<RefusalCode, true> = {
  "empty-file": true,
  "not-an-image": true,
  "unsupported-format": true,
  corrupt: true,
  "multi-frame": true,
  "too-large": true,
  "too-small": true,
  constant: true,
  "missing-codec": true,
  "too-much-memory": true,
  "timed-out": true,
  "decoder-crashed": true,
  "not-a-chest-radiograph": true,
  lateral: true,
  inverted: true,
  rotated: true,
  "heavily-cropped": true,
  blank: true,
  "over-exposed": true,
  child: true,
  "unsupported-modality": true,
  "unsupported-sop-class": true,
};
const WARNINGS: Record<WarningCode, true> = { "photograph-of-a-screen": true };
const FAILURES: Record<Extract<FromWorker, { kind: "failed" }>["reason"], true> = {
  "damaged-bundle": true,
  "newer-bundle": true,
  "no-wasm": true,
  unreachable: true,
  other: true,
};

const placeholdersOf = (message: string) => [...message.matchAll(/\{[a-z]+\}/g)].map(([name]) => name).sort();

describe.each(LANGUAGES)("in %s", (language) => {
  const messages: Record<string, string> = MESSAGES[language];

  test("there is every message of the other language, with the same placeholders, and no more", () => {
    expect(Object.keys(messages).sort()).toEqual(Object.keys(MESSAGES.en).sort());
    for (const [key, message] of Object.entries(MESSAGES.en)) {
      expect(messages[key].trim(), key).not.toBe("");
      expect(placeholdersOf(messages[key]), key).toEqual(placeholdersOf(message));
    }
  });

  test("every refusal, warning and failure is said in words, with what to do", () => {
    const wanted = [
      ...Object.keys(REFUSALS).flatMap((code) => [`refused.${code}`, `next.${code}`]),
      ...Object.keys(WARNINGS).map((code) => `warning.${code}`),
      ...Object.keys(FAILURES).flatMap((reason) => [`failed.${reason}`, `failed-next.${reason}`]),
    ];
    expect(wanted.filter((key) => !Object.hasOwn(messages, key))).toEqual([]);
  });

  test("the research-use notice is there, and no placeholder is left in a filled message", () => {
    const words = wordsOf(language);
    expect(words.say("notice").length).toBeGreaterThan(20);
    expect(words.say("files.progress", { done: 3, total: 9 })).toMatch(/^3 \D+ 9 /);
  });

  test("a finding or criterion without a name keeps the bundle's own", () => {
    const words = wordsOf(language);
    expect(words.finding("Some_New_Thing")).toBe("Some New Thing");
    expect(words.finding("constructor")).toBe("constructor");
    expect(words.criterion("npv-99")).toBe("npv-99");
  });
});

test("numbers follow the language", () => {
  expect(wordsOf("en").probability(0.0725)).toBe("0.073");
  expect(wordsOf("de").probability(0.5)).toBe("0,500");
  expect(wordsOf("de").megabytes(14_400_000)).toBe("14,4 MB");
});

test("the browser's first language that the page speaks is taken, else English", () => {
  expect(preferredLanguage(["fr", "de-AT", "en"])).toBe("de");
  expect(preferredLanguage(["fr"])).toBe("en");
  expect(preferredLanguage([])).toBe("en");
});

describe("index.html", () => {
  const html = readFileSync(new URL("../../index.html", import.meta.url), "utf8");

  test("names only messages that there are", () => {
    const named = [...html.matchAll(/data-(?:message|label)="([^"]+)"/g)].map(([, key]) => key as MessageKey);
    expect(named.length).toBeGreaterThan(40);
    expect(named.filter((key) => !Object.hasOwn(MESSAGES.en, key))).toEqual([]);
  });

  test("has no inline script or style and no address elsewhere", () => {
    expect(html).not.toMatch(/\sstyle=|\son[a-z]+=|<style|https?:/);
    expect([...html.matchAll(/<script(.*?)>(.*?)<\/script>/gs)].map(([, , body]) => body)).toEqual([""]);
  });

  test("forbids itself all but its own origin, as the server does", () => {
    const [, policy] = /Content-Security-Policy" content="([^"]+)"/.exec(html) ?? [];
    expect(policy).toContain("default-src 'none'");
    expect(policy).toContain("connect-src 'self'");
    expect(policy).not.toMatch(/unsafe-inline|'unsafe-eval'|\*/);
  });
});
