/** The engine: a site's bundle, opened and verified, that scores decoded X-rays. */
import type { EngineFacts, Radiograph, Scored, Site, WarningCode } from "../types";
import { type Bundle, openBundle } from "./bundle";
import { OpenFailure } from "./failure";
import { counted, type FetchFile, type OnBytes } from "./fetching";
import { checkInput, GATE, type Gate, openGate } from "./gate";
import { type Graphs, prepare, run } from "./predict";
import { findingScores } from "./probabilities";
import { checkBrowser, type Graph, loadGraph, setUp } from "./session";

const PREPROCESS = "preprocess.onnx";
type Bytes = Uint8Array<ArrayBuffer>;

/** The bundle's verified files that are run. */
interface Files {
  bundle: Bundle;
  preprocess: Bytes;
  model: Bytes;
  gate: Bytes | null;
}

/** Where everything comes from. */
export interface Sources {
  /** URL of site.json, or of its folder with a slash. */
  siteUrl: string;
  /** URLs of onnxruntime-web's own two files. */
  mjsUrl: string;
  wasmUrl: string;
  threads: number;
  fetchFile: FetchFile;
  onBytes: OnBytes;
}

/** A bundle ready to run; one image at a time. */
export interface Engine {
  facts: EngineFacts;
  graphs: Graphs;
  gate: Gate | null;
}

/** An X-ray's scores; how long it took to decode is for the caller to add. */
export type Answer = Omit<Scored, "timings"> & { timings: Omit<Scored["timings"], "decodeMs"> };

/** The engine of a site. Throws OpenFailure. */
export async function openEngine(sources: Sources): Promise<Engine> {
  const start = performance.now();
  checkBrowser();
  const fetch = counted(sources.fetchFile, sources.onBytes);
  const [wasm, files] = await Promise.all([fetch(sources.wasmUrl), readFiles(sources.siteUrl, fetch)]);
  setUp({ mjsUrl: sources.mjsUrl, wasm }, sources.threads);
  const { card, digest } = files.bundle;
  const { graphs, gate, precision } = await loaded(files);
  const loadMs = performance.now() - start;
  const facts = { card, digest, precision, hasGate: gate !== null, threads: sources.threads, loadMs };
  return { facts, graphs, gate };
}

/** The scores and heatmaps of one X-ray. Throws Refused, from the input gate. */
export async function score(engine: Engine, radiograph: Radiograph, checksInput: boolean): Promise<Answer> {
  const { card } = engine.facts;
  const started = performance.now();
  const warnings: WarningCode[] = engine.gate && checksInput ? await checkInput(engine.gate, radiograph) : [];
  const gated = performance.now();
  const images = await prepare(engine.graphs, radiograph);
  const prepared = performance.now();
  const { logits, heatmaps } = await run(engine.graphs, card, images);
  const timings = { gateMs: gated - started, prepareMs: prepared - gated, modelMs: performance.now() - prepared };
  const { heatmap_height: gridHeight, heatmap_width: gridWidth } = card.net;
  return { radiograph, scores: findingScores(card, logits), heatmaps, gridHeight, gridWidth, warnings, timings };
}

/** Nothing, after an image of zeros: browsers compile WebAssembly when it is first run, which takes longer than it. */
export async function warmUp({ facts, graphs }: Engine): Promise<void> {
  const { size } = facts.card.preprocess;
  const black = { pixels: new Uint8Array(size * size), height: size, width: size };
  await run(graphs, facts.card, await prepare(graphs, black));
}

async function readFiles(siteUrl: string, fetch: (url: string) => Promise<Bytes>): Promise<Files> {
  const bundle = await openBundle(siteUrl, fetch);
  const gateBytes = bundle.has(GATE) ? bundle.read(GATE) : null;
  const model = bundle.read(buildFile(bundle, bundle.site.precision));
  const [preprocess, modelBytes, gate] = await Promise.all([bundle.read(PREPROCESS), model, gateBytes]);
  return { bundle, preprocess, model: modelBytes, gate };
}

/** One graph after the other: onnxruntime-web sets itself up with the first. */
async function loaded(files: Files): Promise<Omit<Engine, "facts"> & { precision: string }> {
  try {
    const preprocess = await loadedGraph(files.preprocess, PREPROCESS, ["image"], ["images"]);
    const { model, precision } = await loadedModel(files);
    const gate = files.gate === null ? null : await openGate(files.gate);
    return { graphs: { preprocess, model }, gate, precision };
  } catch (error) {
    if (error instanceof OpenFailure) throw error;
    if (error instanceof WebAssembly.CompileError) {
      throw new OpenFailure("no-wasm", `WebAssembly is refused: ${error.message}`);
    }
    throw new OpenFailure("other", `the bundle cannot be loaded (${String(error)}); export the run again`);
  }
}

/** The site's build; where it cannot be run here, the float32 one, and `precision` says so. */
async function loadedModel({ bundle, model }: Files): Promise<{ model: Graph; precision: string }> {
  const { precision } = bundle.site;
  const asGraph = (bytes: Bytes): Promise<Graph> => loadedGraph(bytes, "the model", ["images"], ["logits", "heatmaps"]);
  try {
    return { model: await asGraph(model), precision };
  } catch (error) {
    if (precision === "fp32" || bundle.card.builds.fp32 === null || error instanceof OpenFailure) throw error;
    const float32 = await bundle.read(buildFile(bundle, "fp32"));
    return { model: await asGraph(float32), precision: `fp32, because this browser cannot run ${precision}` };
  }
}

function buildFile(bundle: Bundle, precision: Site["precision"]): string {
  const build = bundle.card.builds[precision];
  if (build !== null) return build.file;
  throw new OpenFailure("damaged-bundle", `the card has no ${precision} build; export the site again`);
}

/** The graph in `bytes`, where it has the inputs and outputs of a bundle's. */
async function loadedGraph(bytes: Bytes, name: string, inputs: string[], outputs: string[]): Promise<Graph> {
  const graph = await loadGraph(bytes);
  const lacks = (there: readonly string[], wanted: string[]): boolean => wanted.some((one) => !there.includes(one));
  if (lacks(graph.inputNames, inputs) || lacks(graph.outputNames, outputs)) {
    throw new OpenFailure("damaged-bundle", `${name} is not the graph of a bundle; export the run again`);
  }
  return graph;
}
