/** The scores of all files as CSV, cell by cell what `pocketcxr predict --csv` writes. */

import type { Card, FindingScore, RefusalCode } from "../types";
import { formatG } from "./format_g";

/** What one line says. */
export type CsvAnswer =
  | { path: string; status: "scored"; message: string; scores: readonly FindingScore[] }
  | { path: string; status: RefusalCode | "unreadable"; message: string };

/** path, status ("scored" or the refusal's code), message, then the columns of Python's runtime.score_columns. */
export function csvOf(card: Card, answers: readonly CsvAnswer[]): string {
  const columns = scoreColumns(card);
  const lines = [["path", "status", "message", ...columns]];
  for (const answer of answers) {
    const cells = answer.status === "scored" ? scoreCells(card, answer.scores) : columns.map(() => "");
    lines.push([answer.path, answer.status, answer.message, ...cells]);
  }
  return lines.map((cells) => `${cells.map(quoted).join(",")}\n`).join("");
}

/** The criteria of the card's operating points, each once, in the card's order. */
export function criteriaOf(card: Card): string[] {
  return [...new Set(card.operating_points.map((point) => point.criterion))];
}

function scoreColumns(card: Card): string[] {
  const kinds = ["logit", "is_calibrated", ...criteriaOf(card)];
  return [...card.findings, ...kinds.flatMap((kind) => card.findings.map((finding) => `${kind}.${finding}`))];
}

function scoreCells(card: Card, scores: readonly FindingScore[]): string[] {
  const decided = criteriaOf(card).flatMap((criterion) =>
    scores.map((score) => {
      const decision = score.decisions.find((one) => one.criterion === criterion);
      return decision === undefined ? "" : yesNo(decision.isPositive);
    }),
  );
  return [
    ...scores.map((score) => digits(score.probability, 6)),
    // Nine digits give a float32 back.
    ...scores.map((score) => digits(score.logit, 9)),
    ...scores.map((score) => (score.probability === null ? "" : yesNo(score.isCalibrated))),
    ...decided,
  ];
}

function digits(value: number | null, count: number): string {
  return value === null ? "" : formatG(value, count);
}

function yesNo(value: boolean): string {
  return value ? "1" : "0";
}

function quoted(cell: string): string {
  const text = printable(cell);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** File names may hold half surrogates, which no UTF-8 file can: they are written as escapes. */
function printable(text: string): string {
  return text.replace(/\p{Surrogate}/gu, (half) => `\\u${half.charCodeAt(0).toString(16)}`);
}
