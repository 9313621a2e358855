/** In which order findings are listed, and which decision is shown. */

import type { Decision, FindingScore } from "../types";

/** The most probable first; equal ones keep the card's order; those never learnt last. */
export function byProbability(scores: readonly FindingScore[]): FindingScore[] {
  return [...scores].sort((one, other) => (other.probability ?? -1) - (one.probability ?? -1));
}

/** The most probable finding; null where the model learnt none. */
export function topFinding(scores: readonly FindingScore[]): FindingScore | null {
  const first = byProbability(scores)[0];
  return first === undefined || first.probability === null ? null : first;
}

/** The decision at the operating point of that criterion; null where there is none. */
export function decisionAt(score: FindingScore, criterion: string | null): Decision | null {
  return score.decisions.find((decision) => decision.criterion === criterion) ?? null;
}
