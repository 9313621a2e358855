/** What stands around image, findings and files: banners, model, loading, figures, choices. */

import { LANGUAGES, MESSAGES, type Words } from "../messages/messages";
import { criteriaOf } from "./csv";
import { element, required, setText } from "./dom";
import { cardOf, MAX_FILES, progressOf, selectedEntry, type State } from "./state";

const SHORT_DIGEST = 12;
const MODEL_CARD = "model_card.html";

/** Writes all of it for a state. */
export function showFrame(state: State, words: Words): void {
  document.documentElement.dataset.theme = state.theme;
  const otherTheme = state.theme === "dark" ? "theme.light" : "theme.dark";
  setText(required("theme", HTMLButtonElement), words.say(otherTheme));
  required("language", HTMLSelectElement).value = state.language;
  required("single-keys", HTMLInputElement).checked = state.hasSingleKeys;
  showBanners(state, words);
  showLoading(state, words);
  showModel(state, words);
  showOperatingPoints(state, words);
  showFiles(state, words);
  showTimings(state, words);
}

/** The languages to choose from, each in its own words. */
export function fillLanguages(select: HTMLSelectElement): void {
  const options = LANGUAGES.map((one) => element("option", { value: one, lang: one }, MESSAGES[one]["language.name"]));
  select.replaceChildren(...options);
}

function showBanners(state: State, words: Words): void {
  const card = cardOf(state);
  required("simulated", HTMLParagraphElement).hidden = !card?.is_simulated;
  required("no-gate", HTMLParagraphElement).hidden = state.engine.kind !== "ready" || state.engine.facts.hasGate;
  const problem = required("intake-problem", HTMLParagraphElement);
  problem.hidden = state.intakeProblem === null;
  if (state.intakeProblem === null) return;
  const count = "count" in state.intakeProblem ? words.count(state.intakeProblem.count) : "";
  setText(problem, words.say(state.intakeProblem.key, { limit: words.count(MAX_FILES), count }));
}

function showLoading(state: State, words: Words): void {
  const { engine } = state;
  required("loading", HTMLDivElement).hidden = engine.kind !== "loading";
  if (engine.kind !== "loading") return;
  const bar = required("loading-bar", HTMLProgressElement);
  const loaded = words.megabytes(engine.loadedBytes);
  if (engine.totalBytes === null) {
    bar.removeAttribute("value");
    setText(required("loading-bytes", HTMLSpanElement), words.say("loading.bytes.unknown", { loaded }));
    return;
  }
  bar.max = Math.max(engine.totalBytes, 1);
  bar.value = engine.loadedBytes;
  const total = words.megabytes(engine.totalBytes);
  setText(required("loading-bytes", HTMLSpanElement), words.say("loading.bytes", { loaded, total }));
}

function showModel(state: State, words: Words): void {
  const room = required("model", HTMLParagraphElement);
  if (state.engine.kind !== "ready") {
    room.replaceChildren();
    return;
  }
  const { card, digest, precision } = state.engine.facts;
  const parts: (Node | string)[] = [
    element("span", { class: "model-label" }, words.say("model.label")),
    element("b", {}, card.name),
    element("code", { title: words.say("model.digest.title", { digest }) }, digest.slice(0, SHORT_DIGEST)),
    element("span", {}, precision),
  ];
  if (state.bundleFolder !== null) {
    const link = { href: state.bundleFolder + MODEL_CARD, target: "_blank", rel: "noopener" };
    parts.push(element("a", { ...link, "aria-label": words.say("model.card.new-tab") }, words.say("model.card")));
  }
  const drawn = JSON.stringify([digest, words.language, state.bundleFolder]);
  if (room.dataset.drawn === drawn && room.hasChildNodes()) return;
  room.dataset.drawn = drawn;
  room.replaceChildren(...parts);
}

function showOperatingPoints(state: State, words: Words): void {
  const card = cardOf(state);
  const select = required("operating-point", HTMLSelectElement);
  const criteria = card === null ? [] : criteriaOf(card);
  required("operating-point-room", HTMLDivElement).hidden = criteria.length === 0;
  const drawn = JSON.stringify([criteria, words.language]);
  if (select.dataset.drawn !== drawn) {
    select.dataset.drawn = drawn;
    select.replaceChildren(...criteria.map((name) => element("option", { value: name }, words.criterion(name))));
  }
  if (state.operatingPoint !== null) select.value = state.operatingPoint;
  const status = selectedEntry(state)?.status;
  const isScored = status?.kind === "scored";
  required("finding-list", HTMLUListElement).hidden = !isScored;
  const note = required("findings-empty", HTMLParagraphElement);
  const hasNoPoints = card !== null && criteria.length === 0;
  note.hidden = isScored && !hasNoPoints;
  const isAnswered = status?.kind === "refused" || status?.kind === "unreadable";
  const without = isAnswered ? "findings.none" : "findings.empty";
  setText(note, words.say(hasNoPoints && isScored ? "findings.no-operating-points" : without));
  const isCalibrated = isScored && status.answer.scores.some((score) => score.isCalibrated);
  const kind = words.say(isCalibrated ? "findings.calibrated" : "findings.probability");
  setText(required("probability-kind", HTMLParagraphElement), isScored ? kind : "");
}

function showFiles(state: State, words: Words): void {
  const { total, done, scored, refused } = progressOf(state);
  required("files-empty", HTMLParagraphElement).hidden = total > 0;
  required("clear", HTMLButtonElement).disabled = total === 0;
  required("export", HTMLButtonElement).disabled = done === 0 || cardOf(state) === null;
  const queue = required("queue", HTMLProgressElement);
  queue.hidden = total === done;
  queue.max = Math.max(total, 1);
  queue.value = done;
  const key = total === done ? "files.summary" : "files.progress";
  const values = { done: words.count(done), total: words.count(total), scored: words.count(scored), refused: words.count(refused) };
  setText(required("files-summary", HTMLParagraphElement), total === 0 ? "" : words.say(key, values));
}

function showTimings(state: State, words: Words): void {
  const status = selectedEntry(state)?.status;
  const room = required("timings", HTMLParagraphElement);
  if (status?.kind !== "scored" || state.engine.kind !== "ready") {
    setText(room, "");
    return;
  }
  const { decodeMs, gateMs, prepareMs, modelMs } = status.answer.timings;
  const [decode, gate, prepare, model] = [decodeMs, gateMs, prepareMs, modelMs].map((ms) => words.count(ms));
  const times = words.say("viewer.times", { decode, gate, prepare, model });
  setText(room, `${times} \u00b7 ${words.say("model.threads", { count: state.engine.facts.threads })}`);
}
