"""What every page and table written here has in common: the templates, pictures inside the page, whole files."""

import os
from base64 import b64encode
from pathlib import Path

import jinja2

_PNG = b"\x89PNG"


def template(name: str, is_html: bool = True) -> jinja2.Template:
    """The template of that name; a value it lacks is an error, and in HTML every value is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("pocketcxr.evaluate", "."),
        autoescape=is_html,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=not is_html,
    )
    return environment.get_template(name)


def data_address(picture: bytes) -> str:
    """A PNG or JPEG as an address that holds the picture itself."""
    kind = "png" if picture.startswith(_PNG) else "jpeg"
    return f"data:image/{kind};base64," + b64encode(picture).decode("ascii")


def write_whole(text: str, path: Path) -> None:
    """Replace the file at `path` by `text`, whole: nobody ever reads half a page."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.part")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, path)  # noqa: PTH105 - Path.replace is the same call; the name says that it is atomic
