/** Every text that the page shows, by language; how numbers and names are written in it. */

import german from "./de.json";
import english from "./en.json";

export type MessageKey = keyof typeof english;
export type Language = "en" | "de";
export type Values = Record<string, string | number>;

export const MESSAGES: Record<Language, Record<MessageKey, string>> = { en: english, de: german };
export const LANGUAGES: readonly Language[] = ["en", "de"];

/** One language's words. */
export interface Words {
  language: Language;
  /** The message with its {placeholders} filled in. */
  say(key: MessageKey, values?: Values): string;
  /** A finding's name; as the bundle spells it, without underscores, where the language has no name for it. */
  finding(name: string): string;
  /** An operating point's criterion; as the bundle spells it where the language has no name for it. */
  criterion(name: string): string;
  /** 0..1 with three decimals. */
  probability(value: number): string;
  /** A whole number with the language's separators. */
  count(value: number): string;
  /** For example 6.2 MB (10^6 bytes). */
  megabytes(bytes: number): string;
}

const WORDS: Record<Language, Words> = { en: wordsIn("en"), de: wordsIn("de") };

export function wordsOf(language: Language): Words {
  return WORDS[language];
}

function wordsIn(language: Language): Words {
  const messages = MESSAGES[language];
  const probabilities = new Intl.NumberFormat(language, { minimumFractionDigits: 3, maximumFractionDigits: 3 });
  const counts = new Intl.NumberFormat(language, { maximumFractionDigits: 0 });
  const megabytes = new Intl.NumberFormat(language, { minimumFractionDigits: 1, maximumFractionDigits: 1 });
  return {
    language,
    say: (key, values = {}) => filled(messages[key], values),
    finding: (name) => named(messages, `finding.${name}`) ?? name.replaceAll("_", " "),
    criterion: (name) => named(messages, `criterion.${name}`) ?? name,
    probability: (value) => probabilities.format(value),
    count: (value) => counts.format(value),
    megabytes: (bytes) => `${megabytes.format(bytes / 1e6)} MB`,
  };
}

/** The first of the person's languages that the page speaks; English where it speaks none. */
export function preferredLanguage(wanted: readonly string[]): Language {
  for (const tag of wanted) {
    const known = LANGUAGES.find((language) => language === tag.toLowerCase().split("-")[0]);
    if (known !== undefined) return known;
  }
  return "en";
}

function filled(message: string, values: Values): string {
  return message.replace(/\{([a-z]+)\}/g, (whole, name: string) => String(values[name] ?? whole));
}

function named(messages: Record<string, string>, key: string): string | undefined {
  return Object.hasOwn(messages, key) ? messages[key] : undefined;
}
