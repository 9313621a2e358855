"""What a DICOM header alone rules out: another modality, another part of the body, a side view, a child."""

from pocketcxr.domain.errors import RefusalCode
from pocketcxr.domain.prediction import Refusal
from pocketcxr.domain.study import ViewPosition
from pocketcxr.imaging.dicom_facts import SourceFacts

MODALITIES = frozenset({"CR", "DX", "DR", "RG", "XR", "SC", "OT", "RF"})
"""Projection X-ray (CR, DX; retired or wrong but met: DR, RG, XR, RF), and what is scanned or captured (SC, OT)."""
SOP_CLASSES = frozenset(
    {
        "1.2.840.10008.5.1.4.1.1.1",  # Computed Radiography
        "1.2.840.10008.5.1.4.1.1.1.1",  # Digital X-Ray, For Presentation
        "1.2.840.10008.5.1.4.1.1.1.1.1",  # Digital X-Ray, For Processing
        "1.2.840.10008.5.1.4.1.1.7",  # Secondary Capture
        "1.2.840.10008.5.1.4.1.1.12.2",  # X-Ray Radiofluoroscopic: some bedside units
    }
)
"""PS3.4 annex B.5."""
CHEST_PARTS = frozenset({"CHEST", "THORAX", "CHESTABDOMEN", "CHESTABDPELVIS", "LUNG", "PORT CHEST", "CHEST PORT"})
"""Body Part Examined of the chest (PS3.16 annex L), and common spellings."""
OTHER_PARTS = frozenset(
    {
        *("ABDOMEN", "ABDOMENPELVIS", "ANKLE", "ARM", "BREAST", "CALCANEUS", "CLAVICLE", "COCCYX", "CSPINE"),
        *("ELBOW", "EXTREMITY", "FEMUR", "FINGER", "FOOT", "FOREARM", "HAND", "HEAD", "HIP", "HUMERUS", "JAW", "KNEE"),
        *(
            "LEG",
            "LSPINE",
            "LUMBARSPINE",
            "MANDIBLE",
            "MAXILLA",
            "NECK",
            "NOSE",
            "ORBIT",
            "PATELLA",
            "PELVIS",
            "RADIUS",
        ),
        *("SACRUM", "SCAPULA", "SHOULDER", "SKULL", "SSPINE", "TEETH", "THUMB", "TIBIA", "TOE", "TSPINE", "ULNA"),
        *("WRIST", "ZYGOMA", "SPINE", "TIBIAFIBULA", "RADIUSULNA"),
    }
)
"""Parts that are surely no chest; hospitals' own words are unknown, and unknown is no reason."""
ADULT_YEARS = 18


def header_refusal(path: str, facts: SourceFacts) -> Refusal | None:
    """Why the header says that this is no frontal chest X-ray of an adult; None where it does not say so."""
    modality, sop_class, part = facts.modality, facts.sop_class, facts.body_part
    if modality is not None and modality not in MODALITIES:
        what = f"modality {modality} is not read; give a chest X-ray (CR, DX)"
        return Refusal(path, RefusalCode.UNSUPPORTED_MODALITY, f"{path}: {what}")
    if sop_class is not None and sop_class not in SOP_CLASSES:
        what = f"SOP class {facts.sop_class_name} is not read; give CR, DX or a secondary capture"
        return Refusal(path, RefusalCode.UNSUPPORTED_SOP_CLASS, f"{path}: {what}")
    if part is not None and part in OTHER_PARTS:
        what = f"its header says {part}; give a chest X-ray"
        return Refusal(path, RefusalCode.NOT_A_CHEST_RADIOGRAPH, f"{path}: {what}")
    if facts.view_position is ViewPosition.LATERAL:
        return Refusal(path, RefusalCode.LATERAL, f"{path}: its header says lateral view; give the frontal one")
    if facts.age_years is not None and facts.age_years < ADULT_YEARS:
        what = f"its header gives an age of {facts.age_years:.2g} years; the model is for adults from {ADULT_YEARS}"
        return Refusal(path, RefusalCode.CHILD, f"{path}: {what}")
    return None
