/** The list of files: name, where it stands, its highest finding or why it was refused. */

import type { Words } from "../messages/messages";
import { element, named } from "./dom";
import { moveFocus } from "./findings_panel";
import { topFinding } from "./sorting";
import type { Entry, State } from "./state";

export interface FilesListener {
  select(id: number): void;
  remove(id: number): void;
}

export interface FilesPanel {
  show(state: State, words: Words): void;
}

interface Row {
  item: HTMLLIElement;
  entry: Entry;
  language: string;
}

export function createFilesPanel(list: HTMLElement, listener: FilesListener): FilesPanel {
  const rows = new Map<number, Row>();
  let selected: number | null = null;

  const buttons = () => [...list.querySelectorAll<HTMLElement>(".file-open")];
  const remove = (id: number) => {
    // Chosen before the row goes, and the focus with it.
    const place = buttons().findIndex((button) => idAt(button) === id);
    const others = buttons().filter((button) => idAt(button) !== id);
    listener.remove(id);
    others[Math.min(place, others.length - 1)]?.focus();
  };

  list.addEventListener("click", (event) => {
    const id = idAt(event.target);
    if (id === null || !(event.target instanceof Element)) return;
    if (event.target.closest(".file-remove") !== null) remove(id);
    else if (event.target.closest(".file-open") !== null) listener.select(id);
  });
  list.addEventListener("keydown", (event) => {
    const id = idAt(event.target);
    if (event.key === "Delete" && id !== null) remove(id);
    else if (moveFocus(buttons(), event.key)) {
      const focused = idAt(document.activeElement);
      if (focused !== null) listener.select(focused);
    } else return;
    event.preventDefault();
  });

  return {
    show(state, words) {
      const ids = new Set(state.entries.map((entry) => entry.id));
      for (const [id, row] of rows) {
        if (ids.has(id)) continue;
        row.item.remove();
        rows.delete(id);
      }
      for (const entry of state.entries) {
        const row = rows.get(entry.id);
        if (row === undefined) {
          const item = element("li", { class: "file", "data-id": String(entry.id) });
          fill(item, entry, words);
          list.append(item);
          rows.set(entry.id, { item, entry, language: words.language });
        } else if (row.entry !== entry || row.language !== words.language) {
          fill(row.item, entry, words);
          rows.set(entry.id, { item: row.item, entry, language: words.language });
        }
      }
      markSelected(rows, state.selected);
      if (state.selected !== selected && state.selected !== null) {
        rows.get(state.selected)?.item.scrollIntoView({ block: "nearest" });
      }
      selected = state.selected;
    },
  };
}

function idAt(target: EventTarget | null): number | null {
  const item = target instanceof Element ? target.closest<HTMLElement>("[data-id]") : null;
  return item === null ? null : Number(item.dataset.id);
}

function markSelected(rows: Map<number, Row>, selected: number | null): void {
  for (const [id, { item }] of rows) {
    const button = item.querySelector<HTMLElement>(".file-open");
    if (id === selected) button?.setAttribute("aria-current", "true");
    else button?.removeAttribute("aria-current");
  }
}

/** Writes the row anew, and keeps the focus where it was in it. */
function fill(item: HTMLElement, entry: Entry, words: Words): void {
  const hadFocus = item.contains(document.activeElement);
  const remove = words.say("files.remove", { name: entry.name });
  const open = element("button", { type: "button", class: "file-open" }, named("file-name", entry.name), statusOf(entry, words));
  item.replaceChildren(open, element("button", { type: "button", class: "file-remove", "aria-label": remove, title: remove }, "\u00d7"));
  item.dataset.status = entry.status.kind;
  if (hadFocus) open.focus();
}

function statusOf(entry: Entry, words: Words): HTMLElement {
  const icon = element("span", { class: "status-icon" });
  const line = element("span", { class: "file-status" }, icon, named("status-text", statusText(entry, words)));
  if (entry.overridden !== null && entry.status.kind === "scored") {
    line.append(element("span", { class: "mark-overridden" }, words.say("status.overridden")));
  }
  return line;
}

function statusText(entry: Entry, words: Words): string {
  const { status } = entry;
  switch (status.kind) {
    case "queued":
      return words.say("status.queued");
    case "scoring":
      return words.say("status.scoring");
    case "refused":
      return words.say("status.refused", { why: words.say(`refused.${status.code}`) });
    case "unreadable":
      return words.say("status.unreadable");
    case "scored": {
      const top = topFinding(status.answer.scores);
      if (top === null || top.probability === null) return words.say("findings.unlearnt");
      return `${words.finding(top.finding)} ${words.probability(top.probability)}`;
    }
  }
}
