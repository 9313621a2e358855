/** What a card's calibration and operating points make of logits; pocketcxr.runtime.{predict,calibration} in Python. */
import type { Card, Decision, FindingScore } from "../types";

/** The model's answer [finding] in words, in the card's order; a finding it never learnt stays unknown. */
export function findingScores(card: Card, logits: Float32Array): FindingScore[] {
  const lines = new Map(card.calibration?.findings.map((line) => [line.finding, line]));
  return card.findings.map((finding, place) => {
    if (card.unlearnt.includes(finding)) {
      return { finding, logit: null, probability: null, isCalibrated: false, decisions: [] };
    }
    const line = lines.get(finding);
    const probability = sigmoid((line?.slope ?? 1) * logits[place] + (line?.offset ?? 0));
    const told = { finding, logit: logits[place], probability, isCalibrated: line !== undefined };
    return { ...told, decisions: decisions(card, finding, probability) };
  });
}

/** The finding's decision at every operating point that the card has for it: positive from the threshold on. */
function decisions(card: Card, finding: string, probability: number): Decision[] {
  return card.operating_points
    .filter((point) => point.finding === finding)
    .map(({ criterion, threshold }) => ({ criterion, threshold, isPositive: probability >= threshold }));
}

function sigmoid(logit: number): number {
  // exp of a negative number never overflows, whatever the sign of the logit.
  const decay = Math.exp(-Math.abs(logit));
  return (logit >= 0 ? 1 : decay) / (1 + decay);
}
