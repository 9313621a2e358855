"""Signing and trusting as a person does: the key is made, the bundle signed, and only then predict takes it."""

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from pocketcxr.apps.cli.predict import predict
from pocketcxr.apps.cli.score import score
from pocketcxr.apps.cli.sign import sign
from pocketcxr.domain.errors import BundleError, UsageError
from pocketcxr.imaging.preprocess import PreprocessSpec

from ...tiny_bundles import packed, tiny_net  # noqa: TID252 - tests are no package of the path

app = typer.Typer()
for command in (predict, score, sign):
    app.command()(command)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return packed(tiny_net(("Effusion", "Mass"), PreprocessSpec(size=32)), tmp_path / "tiny.zip")


def test_predict_and_score_take_a_signed_bundle_and_no_other(bundle: Path, tmp_path: Path) -> None:
    runner = CliRunner()
    key, public = tmp_path / "maker.pem", tmp_path / "maker.pub.pem"
    scoring = ["score", str(bundle), str(tmp_path), "--out", str(tmp_path / "s.csv")]
    verifying = ["predict", str(bundle), "--verify"]
    assert runner.invoke(app, verifying).exit_code == 0

    done = runner.invoke(app, ["sign", str(bundle), "--key", str(key)])
    assert isinstance(done.exception, UsageError)
    done = runner.invoke(app, ["sign", str(bundle), "--key", str(key), "--new-key"])
    assert done.exit_code == 0
    assert "is signed by key" in done.stderr
    assert str(public) in "".join(done.stderr.split("\n"))
    assert not done.stdout

    done = runner.invoke(app, [*verifying, "--trusted-key", str(public)])
    assert done.exit_code == 0
    assert "signature: by" in done.stderr

    assert runner.invoke(app, ["sign", str(bundle), "--key", str(tmp_path / "other.pem"), "--new-key"]).exit_code == 0
    for command in (verifying, scoring):
        done = runner.invoke(app, command, env={"POCKETCXR_TRUSTED_KEY": str(public)})
        assert isinstance(done.exception, BundleError)
        assert "is not by" in str(done.exception)


def test_no_key_is_made_for_what_is_no_bundle(tmp_path: Path) -> None:
    key = tmp_path / "maker.pem"
    done = CliRunner().invoke(app, ["sign", str(tmp_path / "none.zip"), "--key", str(key), "--new-key"])
    assert isinstance(done.exception, BundleError)
    assert not key.exists()
