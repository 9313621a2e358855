/** How the page's state changes, what may be overridden, what is listed first, what is kept. */

import { describe, expect, test } from "vitest";

import { wordsOf } from "../../src/messages/messages";
import type { RefusalCode } from "../../src/types";
import { announcementOf } from "../../src/ui/announcer";
import { createPixelStore } from "../../src/ui/pixel_store";
import { answersOf } from "../../src/ui/saving";
import { answerOf, nextToScore } from "../../src/ui/scorer";
import { byProbability, decisionAt, topFinding } from "../../src/ui/sorting";
import * as states from "../../src/ui/state";
import { MADE_CARD, madeScore, madeScored, madeState } from "./made";

const scored: states.FileStatus = { kind: "scored", answer: answerOf(madeScored()) };
const refused = (code: RefusalCode, detail = "made up"): states.FileStatus => ({ kind: "refused", code, detail });

describe("findings", () => {
  const scores = [madeScore("A", 0.2), madeScore("B", null), madeScore("C", 0.9), madeScore("D", 0.2), madeScore("E", 0)];

  test("are listed by probability, ties in the card's order, the never learnt last", () => {
    expect(byProbability(scores).map((score) => score.finding)).toEqual(["C", "A", "D", "E", "B"]);
    expect(scores[0].finding).toBe("A");
  });

  test("have no top where none was learnt", () => {
    expect(topFinding(scores)?.finding).toBe("C");
    expect(topFinding([madeScore("B", null)])).toBeNull();
    expect(topFinding([])).toBeNull();
  });

  test("are decided at the chosen operating point only", () => {
    const decision = { criterion: "youden", threshold: 0.3, isPositive: true };
    const score = { ...madeScore("A", 0.4), decisions: [decision] };
    expect(decisionAt(score, "youden")).toBe(decision);
    expect(decisionAt(score, "sensitivity-90")).toBeNull();
    expect(decisionAt(score, null)).toBeNull();
  });
});

describe("files", () => {
  test("are added in order with ids of their own, and the first one is selected", () => {
    const state = states.withFiles(madeState("a", "b"), [{ name: "c", file: new Blob() }]);
    expect(state.entries.map((entry) => entry.name)).toEqual(["a", "b", "c"]);
    expect(new Set(state.entries.map((entry) => entry.id)).size).toBe(3);
    expect(states.selectedEntry(state)?.name).toBe("a");
  });

  test("beyond the limit are left out, and the page says how many", () => {
    const many = Array.from({ length: states.MAX_FILES + 5 }, (_, place) => ({ name: `${place}`, file: new Blob() }));
    const state = states.withFiles(madeState(), many);
    expect(state.entries.length).toBe(states.MAX_FILES);
    expect(state.intakeProblem).toEqual({ key: "files.too-many", count: 5 });
  });

  test("removed hand the selection to their neighbour", () => {
    const state = states.withSelected(madeState("a", "b", "c"), 3);
    expect(states.selectedEntry(states.withoutFile(state, 3))?.name).toBe("b");
    expect(states.selectedEntry(states.withoutFile(states.withSelected(state, 1), 1))?.name).toBe("b");
    expect(states.withoutFile(madeState("a"), 1).selected).toBeNull();
    expect(states.withoutFile(state, 99)).toBe(state);
  });

  test("are walked through without falling off the ends", () => {
    const state = madeState("a", "b");
    expect(states.withNeighbour(state, -1).selected).toBe(1);
    expect(states.withNeighbour(states.withNeighbour(state, 1), 1).selected).toBe(2);
    expect(states.withNeighbour(madeState(), 1).selected).toBeNull();
  });
});

describe("overriding", () => {
  const entryWith = (status: states.FileStatus) => states.withStatus(madeState("a.dcm"), 1, status).entries[0];

  test.each(["rotated", "lateral", "inverted", "blank", "over-exposed", "heavily-cropped", "not-a-chest-radiograph"] as const)(
    "%s may be, as it was judged from pixels",
    (code) => expect(states.canOverride(entryWith(refused(code)))).toBe(true),
  );

  test.each(["corrupt", "child", "unsupported-modality", "unsupported-sop-class", "too-small", "missing-codec"] as const)(
    "%s may not be",
    (code) => expect(states.canOverride(entryWith(refused(code)))).toBe(false),
  );

  test("what the header said may not be, whatever the code and the file's name", () => {
    expect(states.canOverride(entryWith(refused("lateral", "a.dcm: its header says lateral view")))).toBe(false);
    expect(states.canOverride(entryWith(refused("lateral", "a.dcm: looks like a chest from the side")))).toBe(true);
  });

  test("puts the file back unchecked, remembers why it was refused, and is offered once", () => {
    const state = states.withOverride(states.withStatus(madeState("a"), 1, refused("rotated")), 1);
    expect(state.entries[0].status.kind).toBe("queued");
    expect(state.entries[0].overridden?.code).toBe("rotated");
    const again = states.withStatus(state, 1, refused("rotated"));
    expect(states.canOverride(again.entries[0])).toBe(false);
    expect(states.withOverride(again, 1).entries[0].status.kind).toBe("refused");
  });

  test("is written into the CSV", () => {
    const state = states.withOverride(states.withStatus(madeState("a"), 1, refused("rotated")), 1);
    const [answer] = answersOf(states.withStatus(state, 1, scored).entries);
    expect(answer).toMatchObject({ status: "scored", message: "a: scored against the input check (rotated)" });
  });
});

describe("the heatmap shown", () => {
  const state = states.withStatus(madeState("a"), 1, scored);

  test("is the previewed finding's, else the pinned one's, else the most probable one's", () => {
    expect(states.shownFinding(state)).toBe("Nodule");
    const pinned = states.withPinned(state, "Effusion");
    expect(states.shownFinding(pinned)).toBe("Effusion");
    expect(states.shownFinding({ ...pinned, previewed: "Nodule" })).toBe("Nodule");
    expect(states.shownFinding(states.withPinned(pinned, "Effusion"))).toBe("Nodule");
  });

  test("is never that of a finding without a score", () => {
    expect(states.shownFinding({ ...state, pinned: "Hernia" })).toBe("Nodule");
    expect(states.shownFinding(madeState("a"))).toBeNull();
  });
});

describe("the queue", () => {
  test("takes the selected file first, then the first that waits, then nothing", () => {
    const state = states.withSelected(madeState("a", "b"), 2);
    expect(nextToScore(state, () => false)?.name).toBe("b");
    const half = states.withStatus(state, 2, scored);
    expect(nextToScore(half, () => true)?.name).toBe("a");
    expect(nextToScore(states.withStatus(half, 1, refused("corrupt")), () => true)).toBeNull();
  });

  test("reads the selected file again when its pixels were dropped, but not one that is lost", () => {
    const state = states.withStatus(madeState("a"), 1, scored);
    expect(nextToScore(state, () => false)?.name).toBe("a");
    const lost = states.withUnreadable(state, 1);
    expect(lost.entries[0].status.kind).toBe("scored");
    expect(nextToScore(lost, () => false)).toBeNull();
  });
});

test("a bundle brings its first operating point, and a choice that it knows stays", () => {
  const facts = { card: MADE_CARD, digest: "0", precision: "fp32", hasGate: true, threads: 1, loadMs: 1 };
  const ready = states.withEngine(madeState(), { kind: "ready", facts });
  expect(ready.operatingPoint).toBe("sensitivity-90");
  const chosen = { ...ready, operatingPoint: "youden" };
  expect(states.withEngine(chosen, { kind: "ready", facts }).operatingPoint).toBe("youden");
});

describe("pixels", () => {
  const picture = (bytes: number) => ({ pixels: new Uint8Array(bytes), height: 1, width: bytes });

  test("are kept within the budget, the longest unused go first", () => {
    const store = createPixelStore(100);
    store.put(1, picture(40));
    store.put(2, picture(40));
    store.get(1);
    store.put(3, picture(40));
    expect([1, 2, 3].map(store.has)).toEqual([true, false, true]);
    expect(store.held()).toBeLessThanOrEqual(100);
  });

  test("of the newest image are kept, however large it is", () => {
    const store = createPixelStore(100);
    store.put(1, picture(40));
    store.put(2, picture(400));
    expect(store.has(1)).toBe(false);
    expect(store.get(2)?.width).toBe(400);
    store.drop(2);
    expect(store.held()).toBe(0);
  });
});

describe("a screen reader", () => {
  const words = wordsOf("en");

  test("hears the selected file's outcome once, and nothing of the others", () => {
    const before = madeState("a", "b");
    expect(announcementOf(states.withStatus(before, 1, scored), before, words)).toContain("a: scored. Highest: Nodule 0.700");
    expect(announcementOf(states.withStatus(before, 2, scored), before, words)).toBeNull();
    expect(announcementOf(states.withPinned(before, "Nodule"), before, words)).toBeNull();
  });

  test("hears that the page cannot work", () => {
    const failed = states.withEngine(madeState(), { kind: "failed", reason: "unreachable", detail: "" });
    expect(announcementOf(failed, madeState(), words)).toContain("could not be fetched");
  });

  test("hears the end of the queue", () => {
    const half = states.withStatus(madeState("a", "b"), 1, scored);
    expect(announcementOf(states.withStatus(half, 2, refused("corrupt")), half, words)).toContain("1 scored, 1 refused");
  });
});
