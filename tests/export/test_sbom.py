"""The bill of materials keeps to CycloneDX's schema, names all the base install needs, and every file with its hash."""

import json
import tomllib
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from pocketcxr.export.build import BuiltFiles
from pocketcxr.export.pack import SBOM, pack
from pocketcxr.export.sbom import base_install, sbom
from pocketcxr.runtime.bundle import Bundle, open_bundle, sha256
from pocketcxr.runtime.card import CARD, SEAL, CardFacts

PROJECT = Path(__file__).parents[2] / "pyproject.toml"


@pytest.fixture(scope="module")
def bundle(facts: CardFacts, built: BuiltFiles, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return open_bundle(pack(facts, built.files, tmp_path_factory.mktemp("sbom") / "tiny.zip"))


@pytest.fixture(scope="module")
def document(bundle: Bundle) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(bundle.files[SBOM])
    return parsed


def test_it_keeps_to_the_schema(bundle: Bundle) -> None:
    pytest.importorskip("jsonschema")
    validator = JsonStrictValidator(SchemaVersion.V1_6)
    assert validator.validate_str(bundle.files[SBOM].decode()) is None
    assert validator.validate_str('{"bomFormat": "CycloneDX", "specVersion": "1.6", "cat": 1}') is not None


def test_it_names_every_file_it_can_know_with_its_hash(bundle: Bundle, document: dict[str, Any]) -> None:
    listed = {part["name"]: part["hashes"][0]["content"] for part in document["components"] if part["type"] == "file"}
    expected = {name: sha256(data) for name, data in bundle.files.items() if name not in {CARD, SEAL, SBOM}}
    assert listed == expected


def test_it_names_what_the_base_install_needs_and_nothing_of_training(document: dict[str, Any]) -> None:
    libraries = {part["name"]: part for part in document["components"] if part["type"] == "library"}
    wanted = tomllib.loads(PROJECT.read_text())["project"]["dependencies"]
    names = {canonicalize_name(Requirement(line).name) for line in wanted}
    assert names <= set(libraries)
    assert "pydantic-core" in libraries  # what these need in turn
    assert not {"torch", "pandas", "scipy", "onnx", "jinja2", "cryptography"} & set(libraries)
    for name in names:
        assert libraries[name]["version"] == version(name)
        assert libraries[name]["purl"] == f"pkg:pypi/{name}@{version(name)}"
        assert libraries[name]["licenses"]
    needs = {one["ref"]: set(one.get("dependsOn", [])) for one in document["dependencies"]}
    assert needs["bundle"] >= {libraries["pocketcxr"]["bom-ref"], "python"}
    assert {libraries[name]["bom-ref"] for name in names} == needs[libraries["pocketcxr"]["bom-ref"]]


def test_equal_bundles_have_equal_bills_and_other_files_another_number(facts: CardFacts, built: BuiltFiles) -> None:
    packages = base_install()
    first = sbom(facts, built.files, packages)
    assert sbom(facts, dict(reversed(built.files.items())), packages) == first
    other = sbom(facts, {**built.files, "more.bin": b"x"}, packages)
    assert json.loads(other)["serialNumber"] != json.loads(first)["serialNumber"]
