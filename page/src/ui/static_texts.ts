/** Puts the messages of a language into index.html's own elements. */

import { type MessageKey, MESSAGES, type Words } from "../messages/messages";

/** Every data-message becomes text, every data-label an aria-label and a tooltip. */
export function applyTexts(root: Document, words: Words): void {
  root.documentElement.lang = words.language;
  for (const target of root.querySelectorAll<HTMLElement>("[data-message]")) {
    target.textContent = words.say(keyOf(target.dataset.message));
  }
  for (const target of root.querySelectorAll<HTMLElement>("[data-label]")) {
    const label = words.say(keyOf(target.dataset.label));
    target.setAttribute("aria-label", label);
    if (target instanceof HTMLButtonElement) target.title = label;
  }
}

function keyOf(name: string | undefined): MessageKey {
  if (name === undefined || !Object.hasOwn(MESSAGES.en, name)) throw new Error(`index.html names the message ${name}, which there is not`);
  return name as MessageKey;
}
