/** What the page remembers on this device: language, theme, single keys. Nothing about images. */

import { LANGUAGES, preferredLanguage } from "../messages/messages";
import type { State } from "./state";

export type Preferences = Pick<State, "language" | "theme" | "hasSingleKeys">;

const PREFIX = "pocketcxr.";

export function readPreferences(browserLanguages: readonly string[]): Preferences {
  const language = LANGUAGES.find((known) => known === read("language"));
  return {
    language: language ?? preferredLanguage(browserLanguages),
    // Reading rooms are dark, whatever the desktop prefers.
    theme: read("theme") === "light" ? "light" : "dark",
    hasSingleKeys: read("single-keys") !== "off",
  };
}

export function writePreferences(preferences: Preferences): void {
  write("language", preferences.language);
  write("theme", preferences.theme);
  write("single-keys", preferences.hasSingleKeys ? "on" : "off");
}

function read(name: string): string | null {
  try {
    return localStorage.getItem(PREFIX + name);
  } catch {
    // A browser that forbids storage forgets, and that is all.
    return null;
  }
}

function write(name: string, value: string): void {
  try {
    localStorage.setItem(PREFIX + name, value);
  } catch {
    // As above.
  }
}
