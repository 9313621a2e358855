/** What stands in the viewer's place or above it: loading, failed, refused, overridden, warned. */

import type { MessageKey, Words } from "../messages/messages";
import { element } from "./dom";
import { canOverride, type Entry, selectedEntry, type State } from "./state";

export interface NoticeListener {
  choose(): void;
  retry(): void;
  override(id: number): void;
}

/** What stands where the image would be; null where the image itself is to be seen. */
export function placeholderOf(state: State, hasPixels: boolean, words: Words, listener: NoticeListener): HTMLElement | null {
  const { engine } = state;
  const entry = selectedEntry(state);
  if (engine.kind === "failed") {
    const next = [nextStep(words.say(`failed-next.${engine.reason}`), words)];
    const actions = [button(words.say("failed.retry"), listener.retry)];
    return panel("failed", words.say("failed.title"), [words.say(`failed.${engine.reason}`)], next, [
      ...actions,
      detailOf(engine.detail, words),
    ]);
  }
  if (entry === null) {
    const choose = button(words.say("drop.button"), listener.choose);
    choose.classList.add("is-primary");
    return panel("empty", words.say("drop.title"), [words.say("drop.text")], [], [choose]);
  }
  switch (entry.status.kind) {
    case "queued":
    case "scoring":
      return panel("waiting", entry.name, [words.say(engine.kind === "loading" ? "loading.note" : "status.scoring")], [], []);
    case "refused":
      return refusalOf(entry, entry.status, words, listener);
    case "unreadable":
      return unreadableOf(words);
    case "scored":
      if (hasPixels) return null;
      return entry.isLost ? unreadableOf(words) : panel("waiting", entry.name, [words.say("viewer.loading")], [], []);
  }
}

/** What has to be known beside a scored image: that the check was overridden, that it is odd. */
export function remarksOf(state: State, words: Words): HTMLElement[] {
  const entry = selectedEntry(state);
  if (entry === null || entry.status.kind !== "scored") return [];
  const remarks: HTMLElement[] = [];
  if (entry.overridden !== null) {
    const why = words.say(`refused.${entry.overridden.code}`);
    remarks.push(remark("override", words.say("overridden.title"), words.say("overridden.text", { why })));
  }
  for (const warning of entry.status.answer.warnings) {
    remarks.push(remark("warning", words.say("warning.title"), words.say(`warning.${warning}`)));
  }
  return remarks;
}

function refusalOf(
  entry: Entry,
  status: Extract<Entry["status"], { kind: "refused" }>,
  words: Words,
  listener: NoticeListener,
): HTMLElement {
  const isOverridable = canOverride(entry);
  const more = [words.say(isOverridable ? "refused.overridable" : "refused.final")];
  const code = element("p", { class: "refusal-code" }, `${words.say("refused.code")}: `, element("code", {}, status.code));
  const actions: HTMLElement[] = [element("p", { class: "notice-more" }, ...more)];
  if (isOverridable) actions.push(button(words.say("refused.override"), () => listener.override(entry.id)));
  const title = words.say("refused.title");
  return panel("refused", title, [words.say(`refused.${status.code}`)], [nextStep(words.say(`next.${status.code}`), words)], [
    ...actions,
    code,
    detailOf(status.detail, words),
  ]);
}

function unreadableOf(words: Words): HTMLElement {
  const key = (name: "title" | "text" | "next"): MessageKey => `unreadable.${name}`;
  return panel("unreadable", words.say(key("title")), [words.say(key("text"))], [nextStep(words.say(key("next")), words)], []);
}

function panel(kind: string, title: string, texts: string[], next: HTMLElement[], actions: HTMLElement[]): HTMLElement {
  return element(
    "div",
    { class: `placeholder is-${kind}`, "data-testid": `placeholder-${kind}` },
    element("h3", {}, title),
    ...texts.map((text) => element("p", { class: "notice-text" }, text)),
    ...next,
    ...actions,
  );
}

function nextStep(text: string, words: Words): HTMLElement {
  return element("p", { class: "notice-next" }, element("strong", {}, `${words.say("refused.what-next")}: `), text);
}

function remark(kind: string, title: string, text: string): HTMLElement {
  return element("p", { class: `banner is-${kind}`, "data-testid": `remark-${kind}` }, element("strong", {}, title), ` ${text}`);
}

function detailOf(detail: string, words: Words): HTMLElement {
  return element("details", {}, element("summary", {}, words.say("detail")), element("p", { lang: "en" }, detail));
}

function button(text: string, act: () => void): HTMLButtonElement {
  const made = element("button", { type: "button" }, text);
  made.addEventListener("click", act);
  return made;
}
