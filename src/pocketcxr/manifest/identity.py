"""Ids and paths that mean the same in every manifest: who and what is the same across manifests."""

from pathlib import Path

import pandas as pd

from pocketcxr.manifest.combine import SOURCE
from pocketcxr.manifest.rules import TABLE_COLUMNS
from pocketcxr.manifest.schema import Manifest


def identified(manifest: Manifest) -> pd.DataFrame:
    """The table without labels, with ids that tell sources apart and paths from the top of the file system.

    People are the same where source and patient id are. Phantoms are counted from 1 in every folder, so two folders of
    phantoms share nobody.
    """
    table = manifest.table[list(TABLE_COLUMNS)]
    root = Path(manifest.header.root).absolute()
    ids = ("image_id", "patient_id", "study_id")
    named = {name: table[name] for name in ids}
    if manifest.header.source != SOURCE:  # combined manifests have SOURCE.id already
        world = f"@{root}" if manifest.header.is_simulated else ""
        named = {name: table["source"] + world + "." + table[name] for name in ids}
    return table.assign(**named, path=f"{root}/" + table["path"])
