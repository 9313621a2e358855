/** The list of findings: probability, threshold, decision; the pointer or the focus previews a heatmap, Enter pins it. */

import type { Words } from "../messages/messages";
import type { FindingScore } from "../types";
import { element, named } from "./dom";
import { byProbability, decisionAt } from "./sorting";
import { selectedEntry, type State } from "./state";

export interface FindingsListener {
  preview(finding: string | null): void;
  pin(finding: string): void;
}

export interface FindingsPanel {
  show(state: State, shown: string | null, words: Words): void;
}

export function createFindingsPanel(list: HTMLElement, listener: FindingsListener): FindingsPanel {
  let drawn: unknown[] = [];
  const rows = () => [...list.querySelectorAll<HTMLElement>("[role=option]:not([aria-disabled])")];

  list.addEventListener("pointerover", (event) => {
    if (event.pointerType === "mouse") listener.preview(findingAt(event.target));
  });
  list.addEventListener("pointerleave", () => listener.preview(null));
  list.addEventListener("focusin", (event) => listener.preview(findingAt(event.target)));
  list.addEventListener("focusout", () => listener.preview(null));
  list.addEventListener("click", (event) => pinAt(event.target));
  list.addEventListener("keydown", (event) => {
    if (event.key === "Enter" || event.key === " ") pinAt(event.target);
    else if (!moveFocus(rows(), event.key)) return;
    event.preventDefault();
  });

  const pinAt = (target: EventTarget | null) => {
    const finding = findingAt(target);
    if (finding !== null) listener.pin(finding);
  };

  return {
    show(state, shown, words) {
      const status = selectedEntry(state)?.status;
      const scores = status?.kind === "scored" ? status.answer.scores : [];
      const depends = [state.selected, scores, state.operatingPoint, words.language];
      if (depends.some((value, place) => value !== drawn[place])) {
        const focused = findingAt(list.contains(document.activeElement) ? document.activeElement : null);
        if (state.selected !== drawn[0]) list.scrollTop = 0;
        drawn = depends;
        list.replaceChildren(...byProbability(scores).map((score) => rowOf(score, state.operatingPoint, words)));
        if (focused !== null) rows().find((row) => row.dataset.finding === focused)?.focus();
      }
      mark(rows(), state, shown);
    },
  };
}

/** Moves the focus along the rows as the key says; false for other keys. */
export function moveFocus(rows: readonly HTMLElement[], key: string): boolean {
  const place = rows.findIndex((row) => row === document.activeElement);
  const goals: Record<string, number> = { ArrowDown: place + 1, ArrowUp: place - 1, Home: 0, End: rows.length - 1 };
  if (!Object.hasOwn(goals, key)) return false;
  rows[Math.min(Math.max(goals[key], 0), rows.length - 1)]?.focus();
  return true;
}

/** Marks which row is shown and pinned, and which one the Tab key comes to. */
function mark(rows: readonly HTMLElement[], state: State, shown: string | null): void {
  const hasShown = rows.some((row) => row.dataset.finding === shown);
  rows.forEach((row, place) => {
    const isShown = row.dataset.finding === shown;
    row.classList.toggle("is-shown", isShown && state.showsHeatmap);
    row.classList.toggle("is-pinned", row.dataset.finding === state.pinned);
    row.setAttribute("aria-selected", String(row.dataset.finding === state.pinned));
    row.tabIndex = isShown || (!hasShown && place === 0) ? 0 : -1;
  });
}

function findingAt(target: EventTarget | null): string | null {
  const row = target instanceof Element ? target.closest<HTMLElement>("[role=option]:not([aria-disabled])") : null;
  return row?.dataset.finding ?? null;
}

function rowOf(score: FindingScore, operatingPoint: string | null, words: Words): HTMLElement {
  const name = words.finding(score.finding);
  const row = element("li", { role: "option", class: "finding", "data-finding": score.finding });
  row.append(named("finding-name", name));
  const english = score.finding.replaceAll("_", " ");
  if (words.language !== "en" && english !== name) row.append(element("span", { class: "finding-other", lang: "en" }, english));
  if (score.probability === null) {
    row.classList.add("is-unlearnt");
    row.setAttribute("aria-disabled", "true");
    row.setAttribute("aria-selected", "false");
    row.append(element("span", { class: "finding-note" }, words.say("findings.unlearnt")));
    return row;
  }
  row.append(element("span", { class: "finding-figure" }, words.probability(score.probability)));
  if (!score.isCalibrated) row.append(uncalibratedMark(words));
  row.append(...decided(score, operatingPoint, words, score.probability));
  return row;
}

function uncalibratedMark(words: Words): HTMLElement {
  const title = words.say("findings.uncalibrated.title");
  return element("span", { class: "mark-uncalibrated", title }, words.say("findings.uncalibrated"));
}

/** The bar with the threshold's tick, and the decision in words. */
function decided(score: FindingScore, operatingPoint: string | null, words: Words, probability: number): HTMLElement[] {
  const decision = decisionAt(score, operatingPoint);
  const fill = element("span", { class: "bar-fill" });
  fill.style.width = `${100 * probability}%`;
  const bar = element("span", { class: "probability-bar" }, fill);
  if (decision === null) {
    const undecided = operatingPoint === null ? "" : words.say("findings.undecided");
    return [bar, element("span", { class: "decision is-undecided" }, undecided)];
  }
  const threshold = words.say("findings.threshold", { threshold: words.probability(decision.threshold) });
  const tick = element("span", { class: "bar-tick" });
  tick.style.left = `${100 * decision.threshold}%`;
  bar.append(tick);
  bar.classList.toggle("is-positive", decision.isPositive);
  const word = words.say(decision.isPositive ? "findings.positive" : "findings.negative");
  const look = decision.isPositive ? "decision is-positive" : "decision is-negative";
  return [bar, element("span", { class: look, title: threshold }, element("span", { class: "decision-icon" }), word)];
}
