"""The one place that asks for optional dependencies."""

from importlib import import_module
from types import ModuleType

from pocketcxr.domain.errors import MissingExtraError


def require(module: str, extra: str, feature: str) -> ModuleType:
    """The imported `module`. Raises MissingExtraError that names the feature and the extra to install."""
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"{feature} needs the package {error.name!r}, which is not installed: pip install 'pocketcxr[{extra}]'"
        ) from error
