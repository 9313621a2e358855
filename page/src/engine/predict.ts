/** One decoded X-ray -> the model's answers, by the bundle's own two graphs. */
import type { Card } from "../types";
import type { Gray } from "./resample";
import { floats, type Graph, grayTensor, type Tensor } from "./session";

/** The bundle's graphs, loaded. */
export interface Graphs {
  preprocess: Graph;
  model: Graph;
}

/** What the model says of one image. */
export interface Answers {
  /** [finding] */
  logits: Float32Array<ArrayBuffer>;
  /** [finding, gridHeight, gridWidth] over the padded square, logit units. */
  heatmaps: Float32Array<ArrayBuffer>;
}

/** Model input [1, 1, size, size] of one gray image, by the bundle's own graph. */
export async function prepare({ preprocess }: Graphs, { pixels, height, width }: Gray): Promise<Tensor> {
  const { images } = await preprocess.run({ image: grayTensor(pixels, height, width) });
  return images;
}

/** The answers to one model input. Throws TypeError where they are not of the card's shape. */
export async function run({ model }: Graphs, card: Card, images: Tensor): Promise<Answers> {
  const results = await model.run({ images });
  const [logits, heatmaps] = [floats(results.logits), floats(results.heatmaps)];
  const { heatmap_height, heatmap_width } = card.net;
  const numFindings = card.findings.length;
  if (logits.length !== numFindings || heatmaps.length !== numFindings * heatmap_height * heatmap_width) {
    throw new TypeError(`the model answers ${logits.length} logits and ${heatmaps.length} heatmap cells`);
  }
  return { logits, heatmaps };
}
