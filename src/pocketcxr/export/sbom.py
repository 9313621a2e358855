"""What running a bundle takes, as a CycloneDX bill of materials: its own files, Python, and the base install."""

import json
import platform
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from uuid import NAMESPACE_URL, uuid5

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import License, LicenseAcknowledgement
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from pocketcxr.domain.errors import BundleError
from pocketcxr.runtime.bundle import sha256
from pocketcxr.runtime.card import CardFacts

PACKAGE = "pocketcxr"


@dataclass(frozen=True)
class Installed:
    """One installed package."""

    name: str
    """As PyPI normalises it."""
    version: str
    licence: str | None
    """As its makers declare it; None where they do not."""
    needs: tuple[str, ...]
    """Names of the packages it needs here."""


def sbom(facts: CardFacts, files: Mapping[str, bytes], packages: Mapping[str, Installed]) -> bytes:
    """The bill of materials of a bundle with these files, as CycloneDX 1.6 JSON; equal arguments give equal bytes.

    The card and its seal cannot be among the files: they hold the hash of this one.
    """
    bundle = Component(
        type=ComponentType.APPLICATION, name=facts.name, bom_ref="bundle", description=facts.intended_use
    )
    python = Component(type=ComponentType.PLATFORM, name="python", version=platform.python_version(), bom_ref="python")
    bom = Bom(metadata=BomMetaData(component=bundle, timestamp=facts.created))
    bom.metadata.properties.add(Property(name="pocketcxr:made_by", value=facts.made_by))
    bom.metadata.properties.add(Property(name="pocketcxr:platform", value=f"{platform.system()} {platform.machine()}"))
    libraries = {name: _library(package) for name, package in packages.items()}
    parts = [_file(name, files[name]) for name in sorted(files)]
    bom.components.update([python, *libraries.values(), *parts])
    bom.register_dependency(bundle, [python, libraries[PACKAGE], *parts])
    for name, package in packages.items():
        bom.register_dependency(libraries[name], [libraries[needed] for needed in package.needs])
    bom.serial_number = uuid5(NAMESPACE_URL, "".join(part.bom_ref.value or "" for part in bom.components) + facts.name)
    return (json.dumps(json.loads(JsonV1Dot6(bom).output_as_string()), indent=1) + "\n").encode()


def base_install() -> dict[str, Installed]:
    """The installed packages of `pip install pocketcxr` without extras, itself included, by name.

    Raises BundleError where one of them is not installed.
    """
    found: dict[str, Installed] = {}
    waiting = [Requirement(PACKAGE)]
    while waiting:
        wanted = waiting.pop()
        name = canonicalize_name(wanted.name)
        if name in found and not wanted.extras:
            continue
        try:
            one = distribution(name)
        except PackageNotFoundError as error:
            raise BundleError(
                f"{name} is not installed, so what the bundle needs is not known: pip install {name}"
            ) from error
        needs = list(_needed(one, wanted.extras))
        waiting += needs
        names = {canonicalize_name(need.name) for need in needs}.union(found[name].needs if name in found else ())
        found[name] = Installed(name, one.version, _licence(one), tuple(sorted(names)))
    return dict(sorted(found.items()))


def _needed(one: Distribution, extras: set[str]) -> Iterator[Requirement]:
    for line in one.requires or []:
        requirement = Requirement(line)
        if requirement.marker is None or any(requirement.marker.evaluate({"extra": extra}) for extra in (*extras, "")):
            yield requirement


def _licence(one: Distribution) -> str | None:
    """The SPDX expression where there is one; else the line License or the classifiers, as they stand."""
    metadata = one.metadata
    expression, text = (str((metadata.get_all(key) or [""])[0]) for key in ("License-Expression", "License"))
    if expression:
        return expression
    if text.strip() and "\n" not in text.strip():
        return text.strip()
    names = [line.split(" :: ")[-1] for line in metadata.get_all("Classifier") or [] if line.startswith("License ::")]
    return ", ".join(names) or None


def _library(package: Installed) -> Component:
    purl = PackageURL("pypi", None, package.name, package.version)
    return Component(
        type=ComponentType.LIBRARY,
        name=package.name,
        version=package.version,
        purl=purl,
        bom_ref=purl.to_string(),
        licenses=[_as_licence(package.licence)] if package.licence else [],
    )


def _as_licence(text: str) -> License:
    return LicenseFactory().make_from_string(text, license_acknowledgement=LicenseAcknowledgement.DECLARED)


def _file(name: str, data: bytes) -> Component:
    digest = sha256(data)
    return Component(
        type=ComponentType.FILE,
        name=name,
        bom_ref=f"file:{name}:{digest}",
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=digest)],
    )
