/** What a DICOM header alone rules out; pocketcxr.runtime.input_gate_header in Python, where the reasons are. */
import { Refused, type SourceFacts } from "../types";

const MODALITIES = new Set(["CR", "DX", "DR", "RG", "XR", "SC", "OT", "RF"]);
/** Computed radiography, digital X-ray for presentation and for processing, secondary capture, radiofluoroscopy. */
const SOP_CLASSES = new Set([
  "1.2.840.10008.5.1.4.1.1.1",
  "1.2.840.10008.5.1.4.1.1.1.1",
  "1.2.840.10008.5.1.4.1.1.1.1.1",
  "1.2.840.10008.5.1.4.1.1.7",
  "1.2.840.10008.5.1.4.1.1.12.2",
]);
/** Parts that are surely no chest; hospitals' own words are unknown, and unknown is no reason. */
const OTHER_PARTS = new Set([
  ...["ABDOMEN", "ABDOMENPELVIS", "ANKLE", "ARM", "BREAST", "CALCANEUS", "CLAVICLE", "COCCYX", "CSPINE", "ELBOW"],
  ...["EXTREMITY", "FEMUR", "FINGER", "FOOT", "FOREARM", "HAND", "HEAD", "HIP", "HUMERUS", "JAW", "KNEE", "LEG"],
  ...["LSPINE", "LUMBARSPINE", "MANDIBLE", "MAXILLA", "NECK", "NOSE", "ORBIT", "PATELLA", "PELVIS", "RADIUS"],
  ...["RADIUSULNA", "SACRUM", "SCAPULA", "SHOULDER", "SKULL", "SPINE", "SSPINE", "TEETH", "THUMB", "TIBIA"],
  ...["TIBIAFIBULA", "TOE", "TSPINE", "ULNA", "WRIST", "ZYGOMA"],
]);
const ADULT_YEARS = 18;

/** Nothing, where the header does not rule out a frontal chest X-ray of an adult. Throws Refused. */
export function checkHeader({ modality, sopClass, bodyPart, viewPosition, ageYears }: SourceFacts): void {
  if (modality !== null && !MODALITIES.has(modality)) {
    throw new Refused("unsupported-modality", `modality ${modality} is not read; give a chest X-ray (CR, DX)`);
  }
  if (sopClass !== null && !SOP_CLASSES.has(sopClass)) {
    throw new Refused("unsupported-sop-class", `SOP class ${sopClass} is not read; give CR, DX or a secondary capture`);
  }
  if (bodyPart !== null && OTHER_PARTS.has(bodyPart)) {
    throw new Refused("not-a-chest-radiograph", `its header says ${bodyPart}; give a chest X-ray`);
  }
  if (viewPosition === "LATERAL") {
    throw new Refused("lateral", "its header says lateral view; give the frontal one");
  }
  if (ageYears !== null && ageYears < ADULT_YEARS) {
    const age = Number(ageYears.toPrecision(2));
    throw new Refused("child", `its header gives an age of ${age} years; the model is for adults from ${ADULT_YEARS}`);
  }
}
