/** The scores of all files as a CSV file for the person to keep. */

import type { WarningCode } from "../types";
import { type CsvAnswer, csvOf } from "./csv";
import { cardOf, type Entry, type State } from "./state";

/** In the words of Python's runtime.input_gate; CSV files are not translated. */
const WARNINGS: Record<WarningCode, string> = {
  "photograph-of-a-screen": "looks like a photograph of a screen - the file itself would give better scores",
};

/** What the CSV says of the files that are done, in the list's order. */
export function answersOf(entries: readonly Entry[]): CsvAnswer[] {
  return entries.flatMap((entry): CsvAnswer[] => {
    const { name: path, status, overridden } = entry;
    switch (status.kind) {
      case "scored": {
        const remarks = status.answer.warnings.map((warning) => `${path}: ${WARNINGS[warning]}`);
        if (overridden !== null) remarks.push(`${path}: scored against the input check (${overridden.code})`);
        return [{ path, status: "scored", message: remarks.join("; "), scores: status.answer.scores }];
      }
      case "refused":
        return [{ path, status: status.code, message: status.detail }];
      case "unreadable":
        return [{ path, status: "unreadable", message: `${path}: the browser could not read the file` }];
      default:
        return [];
    }
  });
}

/** Hands the CSV to the browser's download; a blob never leaves the device. */
export function saveCsv(state: State): void {
  const card = cardOf(state);
  if (card === null) return;
  const blob = new Blob([csvOf(card, answersOf(state.entries))], { type: "text/csv;charset=utf-8" });
  const url = URL.createObjectURL(blob);
  const link = document.createElement("a");
  link.href = url;
  link.download = `${card.name}-scores.csv`;
  link.click();
  // The download has begun when the click returns, but some browsers read the blob a little later.
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
