"""The list of nets: what it holds, as the command prints it."""

import json

import pytest
from typer.testing import CliRunner

from pocketcxr.apps.cli.main import app
from pocketcxr.models import catalogue as listing
from pocketcxr.models.teachers import CURATED, OWN


def test_the_command_prints_each_net_with_both_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    few = {"resnet10t": CURATED["resnet10t"]}
    monkeypatch.setattr(listing, "CURATED", few)
    done = CliRunner().invoke(app, ["models", "--json"])
    assert done.exit_code == 0
    nets = {net["name"]: net for net in json.loads(done.stdout)}
    assert list(nets) == [*OWN, *few]
    c2 = nets["eeea-net-c2"]
    assert (c2["parameters_rgb"], c2["macs_rgb"]) == (4_732_838, 289_941_952)
    assert (c2["parameters"], c2["head"], c2["origin"], c2["role"]) == (4_732_550, "paper", "pocketcxr", "student")
    fine = nets["eeea-net-c2-fine-map"]
    assert (fine["parameters"], fine["macs"], fine["head"]) == (3_643_398, 297_701_824, "class-map")
    assert (nets["eeea-net-c2-map"]["heatmap_macs"], nets["resnet10t"]["head"]) == (0, "class-map")


@pytest.mark.slow
def test_every_listed_net_can_be_counted() -> None:
    entries = listing.catalogue()
    assert [entry.name for entry in entries] == [*OWN, *CURATED]
    assert all(entry.parameters < entry.parameters_rgb and entry.macs < entry.macs_rgb for entry in entries)
