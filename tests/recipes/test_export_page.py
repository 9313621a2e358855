"""How builds are named where people read of them."""

import pytest

from pocketcxr.recipes.export_page import named
from pocketcxr.runtime.card_gate import BuildMeasurement, FineTuning

TRAINED = FineTuning.model_construct()


@pytest.mark.parametrize(
    ("precision", "fine_tuning", "name"),
    [
        ("fp32", None, "fp32"),
        ("fp16", None, "fp16"),
        ("int8", None, "int8, 2 of 9 layers float"),
        ("int8", TRAINED, "int8 after qat, 2 of 9 layers float"),
    ],
)
def test_a_build_says_what_was_done_to_it(precision: str, fine_tuning: FineTuning | None, name: str) -> None:
    build = BuildMeasurement.model_construct(
        precision=precision, num_float_layers=2, num_layers=9, fine_tuning=fine_tuning
    )
    assert named(build) == name
