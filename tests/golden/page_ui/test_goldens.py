"""The goldens that the page's tests read are what Python says today."""

import json
import runpy
from pathlib import Path

FOLDER = Path(__file__).parent


def test_the_page_is_held_to_what_python_says_today() -> None:
    made = runpy.run_path(str(FOLDER / "make_goldens.py"))["make_goldens"]()
    kept = json.loads((FOLDER / "goldens.json").read_text(encoding="utf-8"))
    assert json.loads(json.dumps(made)) == kept, "run python tests/golden/page_ui/make_goldens.py and the page's tests"
