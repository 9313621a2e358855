"""Further images beside labelled ones, for a teacher to speak of: their labels, if any, are not looked at.

They must not bring back people whom the labelled manifest keeps for validation or test. People are the same where
source and patient id are; a file is the same wherever it is named. Phantoms are counted from 1 in every folder, so two
folders of phantoms share nobody.
"""

import logging
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pocketcxr.domain.errors import ManifestError
from pocketcxr.domain.study import LabelState, Split
from pocketcxr.manifest.combine import SAME_RADIOGRAPHS
from pocketcxr.manifest.identity import identified
from pocketcxr.manifest.rules import label_column
from pocketcxr.manifest.schema import Manifest

logger = logging.getLogger(__name__)

PREFIX = "unlabelled:"
"""Before the ids of these images and of their people, so that they are nobody else's."""


def add_unlabelled(training: Manifest, labelled: Manifest, further: Sequence[Manifest]) -> Manifest:
    """`training`, the chosen training rows of `labelled`, then every further image once, not labelled.

    Images that are among the training rows already are not added again, and a person known from them keeps the id.
    Raises ManifestError where a further image shows a person of the validation or test part of `labelled`.
    """
    known = identified(training)
    is_held = (labelled.table["split"] != Split.TRAIN.value).to_numpy(dtype=np.bool_)
    held = identified(labelled)[is_held]
    for manifest in further:
        _check_apart(manifest, labelled, held)
    added = pd.concat([identified(manifest) for manifest in further], ignore_index=True)
    is_new = ~(added["image_id"].isin(known["image_id"]) | added["path"].isin(known["path"]))
    added = added[is_new].drop_duplicates("image_id").drop_duplicates("path")
    logger.info("%d of %d further images added without labels", len(added), len(is_new))
    person_of = pd.Series(training.table["patient_id"].to_numpy(), index=known["patient_id"])
    unlabelled = added.assign(
        image_id=PREFIX + added["image_id"],
        study_id=PREFIX + added["study_id"],
        patient_id=added["patient_id"]
        .map(person_of[~person_of.index.duplicated()])
        .fillna(PREFIX + added["patient_id"]),
        split=Split.TRAIN.value,
        **{label_column(finding): LabelState.NOT_LABELLED.value for finding in training.findings},
    )
    return replace(training, table=pd.concat([training.table, unlabelled], ignore_index=True))


def was_added(image_ids: Sequence[str]) -> NDArray[np.bool_]:
    """Which of the images `add_unlabelled` added."""
    return np.array([image_id.startswith(PREFIX) for image_id in image_ids], dtype=np.bool_)


def _check_apart(manifest: Manifest, labelled: Manifest, held: pd.DataFrame) -> None:
    sources = {*manifest.table["source"], *labelled.table["source"]}
    for same in SAME_RADIOGRAPHS:
        if same <= sources and not same <= set(labelled.table["source"]):
            raise ManifestError(
                f"{' and '.join(sorted(same))} hold the same people's radiographs without a common patient id:"
                " unlabelled images would bring validation and test people into training - give other images"
            )
    images = identified(manifest)
    is_held = (images["patient_id"].isin(held["patient_id"]) | images["path"].isin(held["path"])).to_numpy()
    if is_held.any():
        first = manifest.table.iloc[int(is_held.argmax())]
        raise ManifestError(
            f"unlabelled images of {manifest.header.root}: {int(is_held.sum())} of {len(is_held)} show people of the"
            f" validation or test part of the labelled manifest (first: patient {first['patient_id']!r}, image"
            f" {first['image_id']!r}): scores of people seen in training mean nothing - prepare these images with the"
            " same splits (--set split.file=LABELLED.splits.csv) and take their training part only"
        )
