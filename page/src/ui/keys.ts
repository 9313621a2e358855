/** Single keys that act from anywhere on the page, unless one types or a dialog is open. */

export interface KeyActions {
  /** By what the key types, small letters. */
  press: Readonly<Record<string, () => void>>;
  /** The key that acts as long as it is held. */
  hold: { key: string; act: (isHeld: boolean) => void };
}

/** Help works even where single keys are off, or nobody could switch them on again. */
const ALWAYS = "?";

export function listenToKeys(actions: KeyActions, areOn: () => boolean): void {
  window.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target) || isDialogOpen()) return;
    const key = event.key.toLowerCase();
    if (key !== ALWAYS && !areOn()) return;
    if (key === actions.hold.key) actions.hold.act(true);
    else if (Object.hasOwn(actions.press, key)) actions.press[key]();
    else return;
    event.preventDefault();
  });
  const release = () => actions.hold.act(false);
  window.addEventListener("keyup", (event) => {
    if (event.key.toLowerCase() === actions.hold.key) release();
  });
  // A key let go in another window is never heard of.
  window.addEventListener("blur", release);
}

function isTyping(target: EventTarget | null): boolean {
  if (target instanceof HTMLInputElement) return target.type !== "range" && target.type !== "checkbox";
  return target instanceof HTMLTextAreaElement || target instanceof HTMLSelectElement;
}

function isDialogOpen(): boolean {
  return document.querySelector("dialog[open]") !== null;
}
