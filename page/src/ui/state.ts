/** All that the page knows, and how it changes: pure functions from one state to the next. */

import type { Card, EngineFacts, FromWorker, RefusalCode, Scored, ViewPosition } from "../types";
import type { Language } from "../messages/messages";
import { criteriaOf } from "./csv";
import { topFinding } from "./sorting";

type Failed = Extract<FromWorker, { kind: "failed" }>;

export type EngineStatus =
  | { kind: "loading"; loadedBytes: number; totalBytes: number | null }
  | { kind: "ready"; facts: EngineFacts }
  | { kind: "failed"; reason: Failed["reason"]; detail: string };

/** What is kept of a scored image; its pixels live in the pixel store, which is bounded. */
export interface Answer extends Omit<Scored, "radiograph"> {
  height: number;
  width: number;
  format: string;
  bitsStored: number;
  viewPosition: ViewPosition;
}

export type FileStatus =
  | { kind: "queued" }
  | { kind: "scoring" }
  | { kind: "scored"; answer: Answer }
  | { kind: "refused"; code: RefusalCode; detail: string }
  /** The browser could not read the file: it was moved or changed. */
  | { kind: "unreadable" };

export interface Entry {
  id: number;
  /** With the folder, where a folder was dropped. */
  name: string;
  /** A handle, not the bytes. */
  file: Blob;
  status: FileStatus;
  /** The refusal that the person chose to override. */
  overridden: { code: RefusalCode; detail: string } | null;
  /** Whether the file, scored before, could not be read again: its scores stay, its image is gone. */
  isLost: boolean;
}

export interface State {
  engine: EngineStatus;
  /** Folder of the bundle's files, once the site said so. */
  bundleFolder: string | null;
  entries: readonly Entry[];
  selected: number | null;
  /** A finding whose heatmap the person pinned; it stays from file to file. */
  pinned: string | null;
  /** The finding under the pointer or in focus. */
  previewed: string | null;
  operatingPoint: string | null;
  showsHeatmap: boolean;
  /** While the person holds the heatmap away. */
  isComparing: boolean;
  /** Of the heatmap, 0..1 of its own opacity. */
  opacity: number;
  language: Language;
  theme: "dark" | "light";
  hasSingleKeys: boolean;
  nextId: number;
  /** What went wrong with the last files that were added. */
  intakeProblem: { key: "files.too-many"; count: number } | { key: "files.none-found" } | null;
}

/** Every name and score is kept; more would make the list unwieldy. */
export const MAX_FILES = 2000;

/** Refusals that the input gate may base on pixels alone. */
const JUDGED_BY_PIXELS: ReadonlySet<RefusalCode> = new Set<RefusalCode>([
  "not-a-chest-radiograph",
  "lateral",
  "inverted",
  "rotated",
  "heavily-cropped",
  "blank",
  "over-exposed",
]);

export function initialState(preferences: Pick<State, "language" | "theme" | "hasSingleKeys">): State {
  return {
    engine: { kind: "loading", loadedBytes: 0, totalBytes: null },
    bundleFolder: null,
    entries: [],
    selected: null,
    pinned: null,
    previewed: null,
    operatingPoint: null,
    showsHeatmap: true,
    isComparing: false,
    opacity: 1,
    nextId: 1,
    intakeProblem: null,
    ...preferences,
  };
}

/** With the files at the end of the list; the first new one is selected where nothing was. */
export function withFiles(state: State, files: readonly { name: string; file: Blob }[]): State {
  if (files.length === 0) return { ...state, intakeProblem: { key: "files.none-found" } };
  const taken = files.slice(0, MAX_FILES - state.entries.length);
  const added = taken.map(
    ({ name, file }, place): Entry => ({
      id: state.nextId + place,
      name,
      file,
      status: { kind: "queued" },
      overridden: null,
      isLost: false,
    }),
  );
  const numLeftOut = files.length - taken.length;
  return {
    ...state,
    entries: [...state.entries, ...added],
    nextId: state.nextId + added.length,
    selected: state.selected ?? added[0]?.id ?? null,
    intakeProblem: numLeftOut > 0 ? { key: "files.too-many", count: numLeftOut } : null,
  };
}

/** Without one file; its neighbour is selected where it was the selected one. */
export function withoutFile(state: State, id: number): State {
  const place = state.entries.findIndex((entry) => entry.id === id);
  if (place < 0) return state;
  const entries = state.entries.filter((entry) => entry.id !== id);
  const neighbour = entries[Math.min(place, entries.length - 1)]?.id ?? null;
  return { ...state, entries, selected: state.selected === id ? neighbour : state.selected, intakeProblem: null };
}

export function withoutFiles(state: State): State {
  return { ...state, entries: [], selected: null, previewed: null, intakeProblem: null };
}

export function withSelected(state: State, id: number): State {
  return { ...state, selected: id, previewed: null };
}

/** With the finding pinned; pinned again it is let go. The heatmap is switched on for it. */
export function withPinned(state: State, finding: string): State {
  return { ...state, pinned: state.pinned === finding ? null : finding, showsHeatmap: true };
}

/** With the file selected that stands `by` places further on, as far as there are files. */
export function withNeighbour(state: State, by: number): State {
  const place = state.entries.findIndex((entry) => entry.id === state.selected);
  const next = state.entries[Math.min(Math.max(place + by, 0), state.entries.length - 1)];
  return next === undefined ? state : withSelected(state, next.id);
}

export function withStatus(state: State, id: number, status: FileStatus): State {
  const entries = state.entries.map((entry) => (entry.id === id ? { ...entry, status } : entry));
  return { ...state, entries };
}

/** With a file that could not be read: where it has scores they stay. */
export function withUnreadable(state: State, id: number): State {
  const entries = state.entries.map((entry): Entry => {
    if (entry.id !== id) return entry;
    return entry.status.kind === "scored" ? { ...entry, isLost: true } : { ...entry, status: { kind: "unreadable" } };
  });
  return { ...state, entries };
}

/** With the refused file back in the queue, not to be checked this time. */
export function withOverride(state: State, id: number): State {
  const entries = state.entries.map((entry): Entry => {
    if (entry.id !== id || entry.status.kind !== "refused" || !canOverride(entry)) return entry;
    const { code, detail } = entry.status;
    return { ...entry, status: { kind: "queued" }, overridden: { code, detail } };
  });
  return { ...state, entries };
}

/** With the engine's news; a bundle that comes up brings its first operating point. */
export function withEngine(state: State, engine: EngineStatus): State {
  if (engine.kind !== "ready") return { ...state, engine };
  const criteria = criteriaOf(engine.facts.card);
  const isKnown = state.operatingPoint !== null && criteria.includes(state.operatingPoint);
  return { ...state, engine, operatingPoint: isKnown ? state.operatingPoint : (criteria[0] ?? null) };
}

/** Whether a refused file may be scored all the same: only what was judged from pixels, and only once. */
export function canOverride(entry: Entry): boolean {
  const { name, status, overridden } = entry;
  if (status.kind !== "refused" || overridden !== null) return false;
  // Some codes come from the header or from the pixels; the gate's own words tell which.
  const isOfHeader = status.detail.replace(`${name}: `, "").startsWith("its header");
  return JUDGED_BY_PIXELS.has(status.code) && !isOfHeader;
}

export function selectedEntry(state: State): Entry | null {
  return state.entries.find((entry) => entry.id === state.selected) ?? null;
}

/** The bundle's card, once it is there. */
export function cardOf(state: State): Card | null {
  return state.engine.kind === "ready" ? state.engine.facts.card : null;
}

/** The finding whose heatmap is shown: the previewed one, else the pinned one, else the most probable. */
export function shownFinding(state: State): string | null {
  const entry = selectedEntry(state);
  if (entry === null || entry.status.kind !== "scored") return null;
  const { scores } = entry.status.answer;
  const learnt = (name: string | null) => scores.some((score) => score.finding === name && score.logit !== null);
  const wanted = [state.previewed, state.pinned].find((name) => learnt(name));
  return wanted ?? topFinding(scores)?.finding ?? null;
}

/** How far the queue is. */
export function progressOf(state: State): { total: number; done: number; scored: number; refused: number } {
  const count = (kind: FileStatus["kind"]) => state.entries.filter((entry) => entry.status.kind === kind).length;
  const scored = count("scored");
  const refused = count("refused") + count("unreadable");
  return { total: state.entries.length, done: scored + refused, scored, refused };
}
