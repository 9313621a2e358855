/** The page: ties worker, state and panels together. */

import { wordsOf } from "./messages/messages";
import type { Site } from "./types";
import { announcementOf } from "./ui/announcer";
import { required, setText } from "./ui/dom";
import { createFilesPanel } from "./ui/files_panel";
import { createFindingsPanel } from "./ui/findings_panel";
import { fillLanguages, showFrame } from "./ui/frame";
import { createImagePanel } from "./ui/image_panel";
import { type Incoming, listenForFiles, pickedFiles } from "./ui/intake";
import { listenToKeys } from "./ui/keys";
import { keepForOffline } from "./ui/offline";
import { createPixelStore } from "./ui/pixel_store";
import { readPreferences, writePreferences } from "./ui/preferences";
import { saveCsv } from "./ui/saving";
import { createScorer } from "./ui/scorer";
import * as states from "./ui/state";
import { applyTexts } from "./ui/static_texts";
import { createStore } from "./ui/store";
import { createToolbar, imageKeys } from "./ui/toolbar";
import { createViewer } from "./ui/viewer";

/** Longer than any image that can be decoded takes on a slow phone. */
const FILE_LIMIT_MS = 120_000;

const store = createStore(states.initialState(readPreferences(navigator.languages)));
const pictures = createPixelStore();
const scorer = createScorer(store, pictures, {
  siteUrl: new URL("site.json", document.baseURI).href,
  startWorker: () => new Worker("worker.js", { type: "module" }),
  limitMs: FILE_LIMIT_MS,
});
const picker = required("picker", HTMLInputElement);
const viewer = createViewer(required("canvas", HTMLCanvasElement), () => toolbar.show(store.get(), wordsOf(store.get().language)));
const toolbar = createToolbar(store, viewer);
const image = createImagePanel(viewer, pictures, {
  choose: () => picker.click(),
  retry: scorer.open,
  override: (id) => store.update((state) => states.withOverride(state, id)),
});
const findings = createFindingsPanel(required("finding-list", HTMLUListElement), {
  preview: (finding) => store.update((state) => (state.previewed === finding ? state : { ...state, previewed: finding })),
  pin: (finding) => store.update((state) => states.withPinned(state, finding)),
});
const files = createFilesPanel(required("file-list", HTMLOListElement), {
  select: (id) => store.update((state) => states.withSelected(state, id)),
  remove(id) {
    pictures.drop(id);
    store.update((state) => states.withoutFile(state, id));
  },
});

function render(state: states.State): void {
  const words = wordsOf(state.language);
  showFrame(state, words);
  files.show(state, words);
  findings.show(state, states.shownFinding(state), words);
  image.show(state, words);
  toolbar.show(state, words);
}

function take(incoming: Incoming[]): void {
  store.update((state) => states.withFiles(state, incoming));
}

function listenToControls(): void {
  const press = (id: string, act: () => void) => required(id, HTMLButtonElement).addEventListener("click", act);
  press("add", () => picker.click());
  press("export", () => saveCsv(store.get()));
  press("clear", () => {
    pictures.clear();
    store.update(states.withoutFiles);
  });
  press("theme", () => store.update((state) => ({ ...state, theme: state.theme === "dark" ? "light" : "dark" })));
  press("help-open", () => required("help", HTMLDialogElement).showModal());
  press("privacy-open", () => required("privacy", HTMLDialogElement).showModal());
  for (const button of document.querySelectorAll<HTMLButtonElement>("[data-closes]")) {
    button.addEventListener("click", () => required(button.dataset.closes ?? "", HTMLDialogElement).close());
  }
  picker.addEventListener("change", () => {
    const picked = pickedFiles(picker);
    if (picked.length > 0) take(picked);
  });
  const language = required("language", HTMLSelectElement);
  language.addEventListener("change", () => {
    store.update((state) => ({ ...state, language: language.value === "de" ? "de" : "en" }));
  });
  const singleKeys = required("single-keys", HTMLInputElement);
  singleKeys.addEventListener("change", () => store.update((state) => ({ ...state, hasSingleKeys: singleKeys.checked })));
  const operatingPoint = required("operating-point", HTMLSelectElement);
  operatingPoint.addEventListener("change", () => {
    store.update((state) => ({ ...state, operatingPoint: operatingPoint.value }));
  });
}

function listenToAllKeys(): void {
  const { press, hold } = imageKeys(store, viewer);
  const others = {
    o: () => picker.click(),
    n: () => store.update((state) => states.withNeighbour(state, 1)),
    p: () => store.update((state) => states.withNeighbour(state, -1)),
    "?": () => required("help", HTMLDialogElement).showModal(),
  };
  listenToKeys({ press: { ...press, ...others }, hold }, () => store.get().hasSingleKeys);
}

/** Hears of every change: draws at the next frame, speaks, remembers, goes on scoring. */
function listenToState(): void {
  let isPlanned = false;
  store.subscribe((state, former) => {
    if (state.language !== former.language) applyTexts(document, wordsOf(state.language));
    const said = announcementOf(state, former, wordsOf(state.language));
    if (said !== null) setText(required("announcer", HTMLParagraphElement), said);
    if (state.language !== former.language || state.theme !== former.theme || state.hasSingleKeys !== former.hasSingleKeys) {
      writePreferences(state);
    }
    if (!isPlanned) {
      isPlanned = true;
      // Not requestAnimationFrame, which rests while the tab is in the background.
      queueMicrotask(() => {
        isPlanned = false;
        render(store.get());
      });
    }
    scorer.pump();
  });
}

function showConnection(isStored: boolean): void {
  const words = wordsOf(store.get().language);
  const text = !navigator.onLine ? words.say("connection.offline") : isStored ? words.say("connection.stored") : "";
  setText(required("connection", HTMLSpanElement), text);
}

function listenToConnection(): void {
  let isStored = false;
  const show = () => showConnection(isStored);
  window.addEventListener("online", show);
  window.addEventListener("offline", show);
  store.subscribe((state, former) => {
    if (state.language !== former.language) show();
  });
  show();
  const kept = keepForOffline({
    stored() {
      isStored = true;
      show();
    },
    updated(takeOver) {
      required("update", HTMLParagraphElement).hidden = false;
      required("update-now", HTMLButtonElement).addEventListener("click", takeOver);
    },
  });
  // A private window may forbid service workers: the page works all the same.
  kept.catch((error: unknown) => console.warn("not kept for offline use:", error));
}

async function findBundle(): Promise<void> {
  const response = await fetch("site.json");
  const site = (await response.json()) as Site;
  store.update((state) => ({ ...state, bundleFolder: site.bundle }));
}

fillLanguages(required("language", HTMLSelectElement));
applyTexts(document, wordsOf(store.get().language));
listenToControls();
listenToAllKeys();
listenToState();
listenForFiles(take, (isOver) => {
  required("drop-veil", HTMLDivElement).hidden = !isOver;
});
render(store.get());
scorer.open();
listenToConnection();
// What goes wrong here the worker meets too, and says in full.
findBundle().catch(() => undefined);
