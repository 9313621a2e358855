import { expect, test } from "vitest";

import { findingScores } from "../../src/engine/probabilities";
import type { Card } from "../../src/types";

function cardOf(parts: Partial<Card>): Card {
  return {
    findings: ["Effusion", "Nodule", "Mass"],
    unlearnt: ["Nodule"],
    calibration: { findings: [{ finding: "Mass", slope: 2, offset: -1 }] },
    operating_points: [
      { finding: "Mass", criterion: "youden", threshold: 0.5 },
      { finding: "Mass", criterion: "sensitivity-90", threshold: 0.7 },
    ],
    ...parts,
  } as Card;
}

test("a calibrated logit is moved along its line, another one is a plain sigmoid, an unlearnt one is unknown", () => {
  const [effusion, nodule, mass] = findingScores(cardOf({}), Float32Array.of(0, 3, 1));
  expect(effusion).toEqual({ finding: "Effusion", logit: 0, probability: 0.5, isCalibrated: false, decisions: [] });
  expect(nodule).toEqual({ finding: "Nodule", logit: null, probability: null, isCalibrated: false, decisions: [] });
  expect(mass).toMatchObject({ finding: "Mass", logit: 1, isCalibrated: true });
  expect(mass.probability).toBeCloseTo(1 / (1 + Math.exp(-1)), 15);
});

test("a finding is positive from its threshold on", () => {
  const decisionsAt = (logit: number) => findingScores(cardOf({}), Float32Array.of(0, 0, logit))[2].decisions;
  expect(decisionsAt(0.5)).toEqual([
    { criterion: "youden", threshold: 0.5, isPositive: true },
    { criterion: "sensitivity-90", threshold: 0.7, isPositive: false },
  ]);
  expect(decisionsAt(0.4999).map(({ isPositive }) => isPositive)).toEqual([false, false]);
  expect(decisionsAt(5).map(({ isPositive }) => isPositive)).toEqual([true, true]);
});

test("large logits of either sign keep their order and are finite", () => {
  const told = [-800, -700, -30, 0, 30].map(
    (logit) => findingScores(cardOf({ calibration: null }), Float32Array.of(logit, 0, 0))[0].probability ?? Number.NaN,
  );
  expect(told).toEqual([...told].sort((one, other) => one - other));
  expect(told.every(Number.isFinite)).toBe(true);
  expect(told[1]).toBeGreaterThan(0);
});
