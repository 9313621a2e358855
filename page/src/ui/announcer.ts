/** What a screen reader is told of what happens by itself: a failure, the selected file's outcome, the queue's end. */

import type { Words } from "../messages/messages";
import { topFinding } from "./sorting";
import { type Entry, progressOf, selectedEntry, type State } from "./state";

/** The words for the step from one state to the next; null where nothing is to be said. */
export function announcementOf(state: State, former: State, words: Words): string | null {
  if (state.engine.kind === "failed" && former.engine.kind !== "failed") {
    return `${words.say("failed.title")}: ${words.say(`failed.${state.engine.reason}`)}`;
  }
  const { total, done, scored, refused } = progressOf(state);
  const before = progressOf(former);
  if (total > 1 && done === total && before.done < before.total) {
    const summary = words.say("files.summary", { scored: words.count(scored), refused: words.count(refused) });
    return words.say("announce.done", { summary });
  }
  const entry = selectedEntry(state);
  const formerly = former.entries.find((one) => one.id === entry?.id);
  if (entry === null || formerly === undefined || entry.status.kind === formerly.status.kind) return null;
  return outcomeOf(entry, words);
}

function outcomeOf(entry: Entry, words: Words): string | null {
  const { name, status } = entry;
  switch (status.kind) {
    case "queued":
    case "scoring":
      return null;
    case "refused":
      return words.say("announce.refused", { name, why: words.say(`refused.${status.code}`) });
    case "unreadable":
      return words.say("announce.refused", { name, why: words.say("unreadable.title") });
    case "scored": {
      const top = topFinding(status.answer.scores);
      if (top === null || top.probability === null) return words.say("announce.refused", { name, why: words.say("findings.unlearnt") });
      const probability = words.probability(top.probability);
      return words.say("announce.scored", { name, finding: words.finding(top.finding), probability });
    }
  }
}
