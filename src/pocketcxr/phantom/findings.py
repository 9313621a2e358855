"""The 14 findings in one place: how each changes the patient's build, and how each is drawn."""

from pocketcxr.domain.errors import UnknownNameError
from pocketcxr.domain.findings import CHESTXRAY14
from pocketcxr.phantom import findings_airspace as airspace
from pocketcxr.phantom import findings_focal as focal
from pocketcxr.phantom import findings_heart as heart
from pocketcxr.phantom import findings_pleura as pleura
from pocketcxr.phantom import findings_volume as volume
from pocketcxr.phantom.anatomy import Anatomy
from pocketcxr.phantom.scene import Boxes, Lesion, Scene

DRAWING_ORDER: tuple[str, ...] = (
    "Emphysema",
    "Fibrosis",
    "Edema",
    "Infiltration",
    "Pneumonia",
    "Consolidation",
    "Atelectasis",
    "Mass",
    "Nodule",
    "Cardiomegaly",
    "Hernia",
    "Pneumothorax",
    "Pleural_Thickening",
    "Effusion",
)
"""From the lung's tissue outwards: air and liquid in the pleura take the place of whatever lay there."""

LATERALITY: dict[str, tuple[float, float]] = {
    "Atelectasis": (0.42, 0.22),
    "Cardiomegaly": (0.0, 1.0),
    "Effusion": (0.38, 0.30),
    "Infiltration": (0.30, 0.45),
    "Mass": (0.55, 0.0),
    "Nodule": (0.45, 0.15),
    "Pneumonia": (0.48, 0.18),
    "Pneumothorax": (0.57, 0.0),
    "Consolidation": (0.55, 0.0),
    "Edema": (0.0, 1.0),
    "Emphysema": (0.0, 1.0),
    "Fibrosis": (0.15, 0.70),
    "Pleural_Thickening": (0.42, 0.22),
    "Hernia": (0.0, 1.0),
}
"""Chance of the right side only, and of both sides."""


def reshape(finding: str, anatomy: Anatomy, lesion: Lesion) -> Anatomy:
    """The anatomy as the finding changes it, before anything is drawn."""
    match finding:
        case "Cardiomegaly":
            return heart.enlarge_heart(anatomy, lesion)
        case "Edema":
            return airspace.congest(anatomy, lesion)
        case "Emphysema":
            return volume.inflate(anatomy, lesion)
        case "Atelectasis":
            return volume.lose_volume(anatomy, lesion, lift_mm=22, pull_mm=12)
        case "Fibrosis":
            return volume.lose_volume(anatomy, lesion, lift_mm=14, pull_mm=5)
        case "Effusion":
            return pleura.push(anatomy, lesion, most_mm=12, beyond=0.7)
        case "Pneumothorax":
            return pleura.push(anatomy, lesion, most_mm=16, beyond=0.7)
        case _:
            return anatomy


def draw(finding: str, scene: Scene, lesion: Lesion) -> Boxes:
    """Draws one finding; its boxes, at least one. Raises UnknownNameError for a name that is none of the 14."""
    match finding:
        case "Atelectasis":
            return volume.atelectasis(scene, lesion)
        case "Cardiomegaly":
            return heart.cardiomegaly(scene)
        case "Effusion":
            return pleura.effusion(scene, lesion)
        case "Infiltration":
            return airspace.infiltration(scene, lesion)
        case "Mass":
            return focal.mass(scene, lesion)
        case "Nodule":
            return focal.nodule(scene, lesion)
        case "Pneumonia":
            return airspace.pneumonia(scene, lesion)
        case "Pneumothorax":
            return pleura.pneumothorax(scene, lesion)
        case "Consolidation":
            return airspace.consolidation(scene, lesion)
        case "Edema":
            return airspace.edema(scene, lesion)
        case "Emphysema":
            return volume.emphysema(scene, lesion)
        case "Fibrosis":
            return volume.fibrosis(scene, lesion)
        case "Pleural_Thickening":
            return pleura.pleural_thickening(scene, lesion)
        case "Hernia":
            return heart.hernia(scene, lesion)
        case _:
            raise UnknownNameError.of("finding", finding, CHESTXRAY14)
