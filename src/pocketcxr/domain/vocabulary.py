"""What each finding means, how else it is spelled and what it is a kind of.

Meanings follow the Fleischner Society's glossaries of thoracic imaging (Hansell et al. 2008, Bankier et al. 2024) where
these have the word, in our own words. `broader` is kept to what holds by definition: whoever has the narrower finding
has the broader one too. What Lung_Opacity, Lung_Lesion, Enlarged_Cardiomediastinum, Pleural_Other and Support_Devices
take in follows CheXpert, whose observations they are (Irvin et al. 2019, arXiv 1901.07031, figure 1).
docs/reference/findings.md.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One radiological observation. synonyms: spellings of official files; broader: findings it is a kind of."""

    name: str
    definition: str
    synonyms: tuple[str, ...] = ()
    broader: tuple[str, ...] = ()


_LUNG: tuple[Finding, ...] = (
    Finding(
        "Lung_Opacity",
        "an area of lung that absorbs more X-rays than the lung around it, whatever the cause",
        ("Airspace opacity", "increased density"),
    ),
    Finding(
        "Atelectasis",
        "lung with less air and less volume than it should have, denser for it, often with shifted fissures",
        (),
        ("Lung_Opacity",),
    ),
    Finding("Laminar_Atelectasis", "collapse of a thin plate of lung, seen as a line", (), ("Atelectasis",)),
    Finding("Lobar_Atelectasis", "collapse of a whole lobe", (), ("Atelectasis",)),
    Finding(
        "Consolidation",
        "alveoli filled with fluid, cells or other tissue: homogeneous opacity that hides the vessels in it",
        (),
        ("Lung_Opacity",),
    ),
    Finding("Air_Bronchogram", "air-filled bronchi seen as dark branches within opaque lung", (), ("Lung_Opacity",)),
    Finding(
        "Infiltration",
        "ill-defined opacity; the glossary advises against the word, reports and data sets use it",
        ("Infiltrate", "infiltrates"),
        ("Lung_Opacity",),
    ),
    Finding("Alveolar_Pattern", "fluffy opacities that run together, of filled airspaces", (), ("Lung_Opacity",)),
    Finding(
        "Interstitial_Pattern",
        "lines, nets or small dots spread over the lung, of a thickened interstitium",
        (),
        ("Lung_Opacity",),
    ),
    Finding(
        "Reticular_Pattern",
        "lines that cross like a net",
        ("reticular interstitial pattern",),
        ("Interstitial_Pattern",),
    ),
    Finding(
        "Reticulonodular_Pattern",
        "a net of lines together with small dots",
        ("reticulonodular interstitial pattern",),
        ("Interstitial_Pattern",),
    ),
    Finding("Miliary_Opacities", "very many dots of 1 to 3 mm all over the lungs", (), ("Lung_Opacity",)),
    Finding(
        "Ground_Glass",
        "hazy opacity through which vessels can still be seen",
        ("ground glass pattern",),
        ("Lung_Opacity",),
    ),
    Finding(
        "Interstitial_Lung_Disease",
        "signs of a diffuse disease of the lung's supporting tissue",
        ("ILD", "diffuse interstitial lung disease"),
    ),
    Finding("Kerley_Lines", "short lines at the pleura, of thickened interlobular septa", (), ("Lung_Opacity",)),
    Finding("Edema", "fluid in interstitium or alveoli of the lung", ("pulmonary edema", "Oedema"), ("Lung_Opacity",)),
    Finding(
        "Pneumonia",
        "inflamed lung, as a rule infected, seen as opacity; an image alone rarely proves it",
        (),
        ("Lung_Opacity",),
    ),
    Finding("Atypical_Pneumonia", "pneumonia in an interstitial or patchy pattern", (), ("Pneumonia",)),
    Finding(
        "Lung_Lesion",
        "a circumscribed abnormality of the lung such as a nodule, a mass or a tumour",
        ("Nodule/Mass", "Nodule or mass"),
        ("Lung_Opacity",),
    ),
    Finding("Nodule", "a rounded opacity of up to 3 cm", (), ("Lung_Lesion",)),
    Finding("Multiple_Nodules", "several rounded opacities of up to 3 cm each", (), ("Nodule",)),
    Finding("Mass", "an opacity of more than 3 cm that looks solid", ("pulmonary mass",), ("Lung_Lesion",)),
    Finding("Lung_Metastasis", "nodules or masses spread from a tumour elsewhere", (), ("Lung_Lesion",)),
    Finding("Granuloma", "a small healed focus of inflammation, often calcified"),
    Finding("Calcified_Granuloma", "a granuloma dense with calcium", (), ("Granuloma", "Calcification")),
    Finding("Cavitation", "a gas-filled space within consolidation, a mass or a nodule"),
    Finding("Tuberculosis", "signs of an infection by Mycobacterium tuberculosis"),
    Finding("Tuberculosis_Sequelae", "what healed tuberculosis leaves behind: scars, calcium, lost volume"),
    Finding("Fibrosis", "scarred lung: coarse lines, distortion, lost volume", ("pulmonary fibrosis",)),
    Finding("Fibrotic_Band", "a linear scar through the lung"),
    Finding("Bronchiectasis", "bronchi widened for good, seen as parallel lines or rings"),
    Finding("Azygos_Lobe", "a part of the right upper lobe set apart by the azygos vein, a harmless variant"),
    Finding("Volume_Loss", "a lung or lobe smaller than it should be"),
    Finding(
        "Emphysema", "airspaces widened for good and their walls destroyed: dark, overlarge lungs with few vessels"
    ),
    Finding("Bulla", "an air-filled space of more than 1 cm with a thin wall", ("bullas", "bullae")),
    Finding("Lung_Cyst", "a round, air-filled space in the lung with a thin wall, of any size"),
    Finding("Hyperinflation", "lungs larger than at a normal full breath", ("hyperinflated lung",)),
    Finding("Hypoexpansion", "lungs smaller than at a normal full breath"),
    Finding("Air_Trapping", "air that stays in the lung on breathing out, so that it stays dark"),
    Finding("COPD_Signs", "what chronic obstructive lung disease shows: overlarge lungs, flat diaphragm", ("COPD",)),
    Finding(
        "Calcification", "calcium where none belongs, in lung, pleura, lymph nodes or vessels", ("calcified densities",)
    ),
)
_PLEURA: tuple[Finding, ...] = (
    Finding("Effusion", "fluid between the pleural layers", ("Pleural Effusion",)),
    Finding("Loculated_Effusion", "pleural fluid held in a pocket", ("loculated pleural effusion",), ("Effusion",)),
    Finding("Costophrenic_Angle_Blunting", "the sharp angle of chest wall and diaphragm rounded, of fluid or scars"),
    Finding("Pneumothorax", "gas between the pleural layers"),
    Finding("Hydropneumothorax", "gas and fluid between the pleural layers", (), ("Effusion", "Pneumothorax")),
    Finding("Pleural_Other", "an abnormality of the pleura that is neither effusion nor pneumothorax"),
    Finding("Pleural_Thickening", "pleura thicker than a hairline, smooth or not", (), ("Pleural_Other",)),
    Finding("Apical_Pleural_Thickening", "thickened pleura over the lung's apex", (), ("Pleural_Thickening",)),
    Finding(
        "Calcified_Pleural_Thickening", "thickened pleura with calcium", (), ("Pleural_Thickening", "Calcification")
    ),
    Finding(
        "Pleural_Plaque",
        "a circumscribed thickening of the pleura, often after asbestos",
        ("pleural plaques",),
        ("Pleural_Other",),
    ),
    Finding("Fissure_Thickening", "a fissure between lobes thicker than a hairline"),
)
_HEART_AND_MEDIASTINUM: tuple[Finding, ...] = (
    Finding("Enlarged_Cardiomediastinum", "the outline of heart and mediastinum is too wide"),
    Finding(
        "Cardiomegaly", "an enlarged heart: wider than half the chest on a PA view", (), ("Enlarged_Cardiomediastinum",)
    ),
    Finding(
        "Mediastinal_Enlargement",
        "the mediastinum is too wide",
        ("superior mediastinal enlargement",),
        ("Enlarged_Cardiomediastinum",),
    ),
    Finding("Mediastinal_Mass", "a mass in the mediastinum"),
    Finding("Mediastinal_Shift", "the mediastinum lies too far to one side"),
    Finding("Pneumomediastinum", "gas in the mediastinum"),
    Finding(
        "Heart_Failure_Signs",
        "what a failing heart shows: congested vessels, edema, effusion",
        ("heart insufficiency",),
    ),
    Finding("Aortic_Enlargement", "the aorta is wider than normal"),
    Finding(
        "Aortic_Aneurysm", "the aorta is widened beyond one and a half times its width", (), ("Aortic_Enlargement",)
    ),
    Finding("Aortic_Elongation", "the aorta is longer than normal and curves more"),
    Finding("Aortic_Atheromatosis", "calcium in the wall of the aorta"),
    Finding("Hilar_Enlargement", "a hilum larger than normal"),
    Finding("Vascular_Hilar_Enlargement", "a hilum enlarged by its vessels", (), ("Hilar_Enlargement",)),
    Finding(
        "Pulmonary_Artery_Enlargement",
        "the trunk of the pulmonary artery or a main branch is wider than normal",
        ("Enlarged PA",),
    ),
    Finding("Vascular_Redistribution", "upper lung vessels as wide as the lower ones or wider, of raised pressure"),
    Finding("Hilar_Congestion", "full, blurred vessels at the hila"),
    Finding("Pericardial_Effusion", "fluid around the heart"),
    Finding("Adenopathy", "enlarged lymph nodes", ("Lymphadenopathy",)),
    Finding(
        "Hernia", "abdominal contents in the chest, nearly always through the esophageal hiatus", ("hiatal hernia",)
    ),
    Finding("Goiter", "an enlarged thyroid that reaches into the mediastinum"),
    Finding("Tracheal_Shift", "the trachea lies too far to one side"),
)
_WALL_AND_DIAPHRAGM: tuple[Finding, ...] = (
    Finding("Fracture", "a broken bone, fresh or healed"),
    Finding("Rib_Fracture", "a broken rib", (), ("Fracture",)),
    Finding("Rib_Callus", "a rib fracture that heals or has healed", ("callus rib fracture",), ("Rib_Fracture",)),
    Finding("Clavicle_Fracture", "a broken collar bone", (), ("Fracture",)),
    Finding("Vertebral_Fracture", "a broken vertebra", (), ("Fracture",)),
    Finding("Vertebral_Compression", "a vertebra lower than it should be", ("vertebral anterior compression",)),
    Finding("Osteopenia", "bones less dense than normal"),
    Finding("Sternotomy", "wires that hold a breast bone once opened"),
    Finding("Mastectomy", "a breast is missing after surgery"),
    Finding("Gynecomastia", "enlarged breasts of a man"),
    Finding("Vertebral_Degeneration", "worn discs and joints of the spine", ("vertebral degenerative changes",)),
    Finding("Scoliosis", "a spine bent to the side"),
    Finding("Kyphosis", "a spine bent forward too much"),
    Finding("Hemidiaphragm_Elevation", "one half of the diaphragm stands too high"),
    Finding("Diaphragmatic_Eventration", "a part of the diaphragm bulges up, being thin"),
    Finding("Flattened_Diaphragm", "a diaphragm without its dome"),
    Finding("Subcutaneous_Emphysema", "gas in the soft tissue under the skin"),
    Finding("Pneumoperitoneum", "free gas under the diaphragm", ("pneumoperitoneo",)),
)
_DEVICES: tuple[Finding, ...] = (
    Finding("Support_Devices", "a tube, line, pacemaker, valve or other medical device in or on the chest"),
    Finding("Endotracheal_Tube", "a breathing tube in the trachea", (), ("Support_Devices",)),
    Finding("Tracheostomy_Tube", "a breathing tube through the neck", (), ("Support_Devices",)),
    Finding("Nasogastric_Tube", "a tube through the nose into the stomach", ("nsg tube",), ("Support_Devices",)),
    Finding(
        "Central_Venous_Catheter", "a line whose tip lies in a large vein near the heart", (), ("Support_Devices",)
    ),
    Finding("Chest_Tube", "a drain in the pleural space", ("chest drain tube",), ("Support_Devices",)),
    Finding("Pacemaker", "a device that paces or defibrillates the heart, with its leads", (), ("Support_Devices",)),
    Finding("Artificial_Heart_Valve", "a heart valve of metal or tissue put in", (), ("Support_Devices",)),
)
_WHOLE_IMAGE: tuple[Finding, ...] = (
    Finding(
        "No_Finding",
        "nothing of what the source looks for is present; never evidence for a finding",
    ),
)

VOCABULARY: tuple[Finding, ...] = (
    *_WHOLE_IMAGE,
    *_LUNG,
    *_PLEURA,
    *_HEART_AND_MEDIASTINUM,
    *_WALL_AND_DIAPHRAGM,
    *_DEVICES,
)
"""Every finding we have a name for, by region."""
