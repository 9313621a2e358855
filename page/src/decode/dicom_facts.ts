/** What a DICOM header says besides the gray pixels; pocketcxr.imaging.dicom_facts in TypeScript. */
import type { SourceFacts, ViewPosition } from "../types";
import type { Header, Keyword } from "./dicom_header";

/** PS3.5 table 6.2-1, value representation AS. */
const YEARS_A_UNIT: Record<string, number> = { D: 1 / 365.25, W: 7 / 365.25, M: 1 / 12, Y: 1 };

/** View Position (0018,5101); LLD and RLD are decubitus views with the beam across the bed. */
const VIEWS: Record<string, ViewPosition> = {
  ...{ PA: "PA", AP: "AP", LL: "LATERAL", RL: "LATERAL", LLD: "LATERAL", RLD: "LATERAL", LAT: "LATERAL" },
  LATERAL: "LATERAL",
};

/** What a header says. */
export function factsOf(header: Header): SourceFacts {
  const view = (header.text("ViewPosition") ?? "").trim().toUpperCase();
  return {
    modality: firstText(header, "Modality"),
    sopClass: firstText(header, "SOPClassUID"),
    bodyPart: firstText(header, "BodyPartExamined"),
    viewPosition: Object.hasOwn(VIEWS, view) ? VIEWS[view] : "UNKNOWN",
    ageYears: ageYears(firstText(header, "PatientAge")),
    colouredShare: null,
  };
}

/** The first value in capitals; null where there is none. */
function firstText(header: Header, keyword: Keyword): string | null {
  const text = (header.text(keyword) ?? "").split("\\")[0].trim().toUpperCase();
  return text === "" ? null : text;
}

/** Years from an age string such as 058Y or 006M; null where it is not one. */
export function ageYears(text: string | null): number | null {
  const match = text === null ? null : /^(\d{3})([DWMY])$/.exec(text);
  return match === null ? null : Number(match[1]) * YEARS_A_UNIT[match[2]];
}
