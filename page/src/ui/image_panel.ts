/** The image panel for a state: which picture and heatmap the viewer shows, and what is said beside them. */

import type { Words } from "../messages/messages";
import { createColourBar, isSigned } from "./colour_bar";
import { colourScale } from "./colours";
import { element, required, setText } from "./dom";
import { type NoticeListener, placeholderOf, remarksOf } from "./notices";
import type { HeatmapLayer } from "./painter";
import type { PixelStore } from "./pixel_store";
import { type Answer, selectedEntry, shownFinding, type State } from "./state";
import type { Viewer } from "./viewer";

export interface ImagePanel {
  show(state: State, words: Words): void;
}

export function createImagePanel(viewer: Viewer, pictures: PixelStore, listener: NoticeListener): ImagePanel {
  const bar = createColourBar(required("colour-bar", HTMLDivElement));
  const layerOf = createLayers();
  const canvas = required("canvas", HTMLCanvasElement);
  const room = required("placeholder", HTMLDivElement);
  let drawn: unknown[] = [];

  const showNotices = (state: State, hasPixels: boolean, words: Words) => {
    const depends = [selectedEntry(state), state.engine.kind, hasPixels, words.language];
    if (depends.every((value, place) => value === drawn[place]) && drawn.length > 0) return;
    drawn = depends;
    const placeholder = placeholderOf(state, hasPixels, words, listener);
    const hadFocus = room.contains(document.activeElement);
    room.hidden = placeholder === null;
    room.replaceChildren(...(placeholder === null ? [] : [placeholder]));
    if (hadFocus) (room.querySelector("button") ?? canvas).focus();
    required("remarks", HTMLDivElement).replaceChildren(...remarksOf(state, words));
    setText(required("image-name", HTMLSpanElement), selectedEntry(state)?.name ?? words.say("viewer.none"));
  };

  return {
    show(state, words) {
      const entry = selectedEntry(state);
      const answer = entry?.status.kind === "scored" ? entry.status.answer : null;
      const picture = entry === null || answer === null ? null : pictures.get(entry.id);
      const finding = shownFinding(state);
      const isShown = picture !== null && finding !== null && state.showsHeatmap && !state.isComparing;
      const layer = isShown && answer !== null ? layerOf(answer, finding) : null;
      viewer.show(picture, layer, state.opacity);
      const scale = (of: HeatmapLayer, image: Answer) => ({ scale: of.scale, isSigned: isSigned(of, image), opacity: state.opacity });
      bar.show(layer === null || answer === null ? null : scale(layer, answer), words);
      const name = required("heatmap-name", HTMLParagraphElement);
      name.hidden = layer === null;
      setText(name, finding === null ? "" : words.finding(finding));
      canvas.hidden = picture === null;
      const label = layer === null || finding === null ? "viewer.canvas" : "viewer.canvas.heatmap";
      const named = { name: entry?.name ?? "", finding: finding === null ? "" : words.finding(finding) };
      canvas.setAttribute("aria-label", words.say(label, named));
      showFacts(answer, words);
      showNotices(state, picture !== null, words);
    },
  };
}

function showFacts(answer: Answer | null, words: Words): void {
  const facts = required("image-facts", HTMLParagraphElement);
  if (answer === null) {
    facts.replaceChildren();
    return;
  }
  const { width, height, format, bitsStored, viewPosition } = answer;
  const texts = [`${width}\u2009\u00d7\u2009${height}`, format.toUpperCase(), words.say("viewer.bits", { bits: bitsStored })];
  if (viewPosition !== "UNKNOWN") texts.push(viewPosition);
  facts.replaceChildren(...texts.map((text) => element("span", {}, text)));
}

/** A function that gives a finding's heatmap; the same object for the same one, so that it is not placed again. */
function createLayers(): (answer: Answer, finding: string) => HeatmapLayer {
  let known: { answer: Answer; layers: Map<string, HeatmapLayer> } | null = null;
  return (answer, finding) => {
    if (known?.answer !== answer) known = { answer, layers: new Map() };
    const layer = known.layers.get(finding) ?? layerFor(answer, finding);
    known.layers.set(finding, layer);
    return layer;
  };
}

function layerFor(answer: Answer, finding: string): HeatmapLayer {
  const { scores, heatmaps, gridHeight: height, gridWidth: width } = answer;
  const place = scores.findIndex((score) => score.finding === finding);
  const cells = height * width;
  return {
    classMap: heatmaps.subarray(place * cells, (place + 1) * cells),
    grid: { height, width },
    scale: colourScale(heatmaps, cells, scores.map((score) => score.logit !== null)),
  };
}
