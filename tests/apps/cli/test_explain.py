"""The command: what cannot go together, which names there are, before anything heavy starts."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from pocketcxr.apps.cli.main import app
from pocketcxr.domain.errors import UnknownNameError, UsageError


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "nothing to explain"),
        (["a.png", "--manifest", "m.parquet"], "not both"),
        (["a.png", "--faithfulness", "3"], "--faithfulness goes with --manifest"),
        (["a.png", "--sanity"], "--sanity goes with --manifest"),
        (["--manifest", "m.parquet", "--finding", "Mass"], "--finding goes with FILE"),
        (["--manifest", "m.parquet", "--top", "2"], "--top goes with FILE"),
        (["a.png", "--method", "one-pas"], "did you mean 'one-pass'"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(arguments: list[str], message: str, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["explain", str(tmp_path), *arguments])
    assert isinstance(done.exception, UsageError)
    assert message in str(done.exception)


def test_every_method_is_listed_where_one_is_unknown(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["explain", str(tmp_path), "a.png", "--method", "magic"])
    assert isinstance(done.exception, UnknownNameError)
    for name in ("one-pass", "grad-cam++", "attention-rollout"):
        assert name in str(done.exception)
