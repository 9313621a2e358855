"""What the deployment notes say of operators and units is so."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import torch

from pocketcxr.export.graph import operators, opset
from pocketcxr.export.onnx import net_model, preprocess_model
from pocketcxr.imaging.preprocess import PreprocessSpec
from pocketcxr.models.build import build
from pocketcxr.models.config import NetConfig, Pooling
from pocketcxr.models.heads import Reference

DEPLOY = Path(__file__).parents[2] / "docs" / "how-to" / "deploy"
SPEC = PreprocessSpec(size=32)
OPSET = 20


def block(page: str, kind: str) -> str:
    """The page's only block of that kind."""
    (text,) = re.findall(rf"```{kind}\n(.*?)```", (DEPLOY / page).read_text(), flags=re.DOTALL)
    return str(text)


@pytest.fixture(scope="module")
def listed() -> dict[str, set[str]]:
    """The operators of each graph by the notes."""
    lines = [line.split(":") for line in block("mobile.md", "text").splitlines()]
    return {name.strip(): set(names.split()) for name, names in lines}


def test_the_preprocessing_needs_the_operators_that_the_notes_list(listed: dict[str, set[str]]) -> None:
    model = preprocess_model(SPEC)
    assert set(operators(model)) == listed["preprocess.onnx"]
    assert opset(model) == OPSET


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "pooling"),
    [
        ("eeea-net-c2", "mean"),
        ("eeea-net-c2-map", "mean"),
        ("eeea-net-c2-lite-map", "mean"),
        ("eeea-net-c2-fine-map", "log-sum-exp"),
    ],
)
def test_a_trained_student_needs_the_operators_that_the_notes_list(
    name: str, pooling: Pooling, listed: dict[str, set[str]]
) -> None:
    net = build(NetConfig(name=name, pooling=pooling), num_findings=3)
    reference = Reference.of(net)
    assert reference is not None
    reference.put(torch.randn(3, 2, 2, generator=torch.Generator().manual_seed(0)))
    model = net_model(net, SPEC, ("Effusion", "Mass", "Nodule"))
    assert set(operators(model)) == listed[name]
    assert opset(model) == OPSET


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd here")
    unit = tmp_path / "pocketcxr-score@.service"
    program = "/opt/pocketcxr/bin/pocketcxr"
    text = block("systemd.md", "ini")
    assert f"ExecStart={program} score " in text
    unit.write_text(text.replace(program, "/bin/true"))
    done = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert unit.name not in done.stderr
