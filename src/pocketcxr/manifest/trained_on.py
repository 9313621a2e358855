"""Whether a model is about to be scored on what it was trained on.

The official boxes of ChestX-ray14 are of its official test list; in splits by seed, CheXNet's among them, most of the
boxed images are training images. docs/explanation/localisation.md.
"""

from collections.abc import Sequence

from pocketcxr.domain.errors import ManifestError
from pocketcxr.domain.study import Split
from pocketcxr.manifest.combine import SAME_RADIOGRAPHS
from pocketcxr.manifest.identity import identified
from pocketcxr.manifest.schema import Manifest

_NUM_NAMED = 3


def refuse_trained_on(scored: Manifest, trained: Sequence[Manifest], where: str) -> None:
    """Nothing, when `scored` holds no image, file or patient of `trained`. Raises ManifestError, starting with `where`.

    scored: the rows to be scored. trained: the rows that a model, its teacher and the teacher's teachers learnt from,
    of any number of manifests (`select(manifest, Split.TRAIN, ...)`). Sources that hold the same radiographs under
    other names cannot be told apart image by image and are refused as a whole.
    """
    rows = identified(scored)
    for manifest in trained:
        _refuse_same_radiographs(scored, manifest, where)
        seen = identified(manifest)
        is_same = rows["image_id"].isin(seen["image_id"]) | rows["path"].isin(seen["path"])
        is_seen = is_same | rows["patient_id"].isin(seen["patient_id"])
        if is_seen.any():
            first = ", ".join(scored.table["image_id"][is_seen.to_numpy()].head(_NUM_NAMED))
            raise ManifestError(
                f"{where}: {int(is_seen.sum())} of the {len(rows)} images to be scored are of patients that the model "
                f"was trained on, {int(is_same.sum())} of them are training images themselves (first: {first}); such "
                f"scores mean nothing - score the test part of {manifest.header.root} as it was split for training, or "
                "other patients"
            )


def doubts(scored: Manifest, source: str, splits_sha256: str) -> str | None:
    """Why nobody can tell whether `scored` was trained on, in a sentence; None where it was not.

    For a model of which only a card is known: source, that of its training manifest, and splits_sha256, the digest of
    its splits (ManifestHeader.splits_sha256); "" where the card does not tell. Raises ManifestError where the splits
    are the training manifest's own and training images are to be scored.
    """
    is_train = scored.table["split"] == Split.TRAIN.value
    if splits_sha256 and scored.header.splits_sha256 == splits_sha256:
        if is_train.any():
            first = ", ".join(scored.table["image_id"][is_train.to_numpy()].head(_NUM_NAMED))
            raise ManifestError(
                f"{scored.header.root}: {int(is_train.sum())} of the {len(is_train)} images to be scored are training "
                f"images of the model (first: {first}); such scores mean nothing - score the test part"
            )
        return None
    sources = {*scored.table["source"]}
    same = next((one for one in SAME_RADIOGRAPHS if source in one), frozenset({source}))
    if not source or sources & same or "combine" in {source, scored.header.source}:
        return (
            f"Its card does not name the patients it was trained on (source {source or 'unknown'}): whether some of "
            "them are scored here cannot be told. Score the split it was held out from."
        )
    return None


def _refuse_same_radiographs(scored: Manifest, trained: Manifest, where: str) -> None:
    if scored.header.is_simulated or trained.header.is_simulated:
        return
    scored_sources, trained_sources = {*scored.table["source"]}, {*trained.table["source"]}
    for same in SAME_RADIOGRAPHS:
        if scored_sources & same and trained_sources & same and scored_sources & same != trained_sources & same:
            raise ManifestError(
                f"{where}: {' and '.join(sorted(same))} hold the same people's radiographs without a common patient "
                "id, and the model was trained on one of them: score the test part of the one it was trained on"
            )
