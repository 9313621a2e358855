"""The structure itself: empty package files, a torch-free base, small files, complete error tree."""

import ast
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import pocketcxr
from pocketcxr.domain import errors

SOURCE = Path(inspect.getfile(pocketcxr)).parent
FILES = sorted(SOURCE.rglob("*.py"))


PACKAGE_FILES = [path for path in FILES if path.name == "__init__.py"]


@pytest.mark.parametrize("path", PACKAGE_FILES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_package_files_hold_a_docstring_and_nothing_else(path: Path) -> None:
    body = ast.parse(path.read_text()).body
    assert len(body) == 1
    assert isinstance(body[0], ast.Expr)


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_files_stay_small_and_say_what_they_are(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= 300
    assert ast.get_docstring(ast.parse(text))


def test_scoring_never_loads_the_training_stack() -> None:
    heavy = {"torch", "pandas", "sklearn", "scipy", "matplotlib", "timm", "lightning"}
    script = (
        f"import sys, pocketcxr.runtime.predict, pocketcxr.apps.cli.main\nprint(sorted({heavy!r} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_error_tree_in_the_docstring_is_complete() -> None:
    assert errors.__doc__ is not None
    raised = [c for _, c in inspect.getmembers(errors, inspect.isclass) if issubclass(c, errors.PocketCxrError)]
    for error in raised:
        assert error.__name__ in errors.__doc__
        assert error.__doc__
        assert error.exit_code in {1, 2}


def test_every_failure_is_ours() -> None:
    """No public error derives from anything a library might raise, so that `except PocketCxrError` is enough."""
    raised = [c for _, c in inspect.getmembers(errors, inspect.isclass) if issubclass(c, Exception)]
    assert all(issubclass(c, errors.PocketCxrError) for c in raised)
