/** What Python says, from tests/golden/page_ui/make_goldens.py. */

import { readFileSync } from "node:fs";

import type { Card, FindingScore, RefusalCode } from "../../src/types";

interface Goldens {
  csv: {
    card: Pick<Card, "findings" | "operating_points">;
    scored: { path: string; scores: FindingScore[] }[];
    refused: { path: string; status: RefusalCode; message: string };
    text: string;
  };
  colours: { gray: number; strengths: number[]; rgb: number[][] }[];
  heatmaps: {
    grid: { height: number; width: number };
    image: { height: number; width: number };
    classMap: number[];
    placed: number[];
  }[];
}

const FILE = new URL("../../../tests/golden/page_ui/goldens.json", import.meta.url);

export const GOLDENS = JSON.parse(readFileSync(FILE, "utf8")) as Goldens;
