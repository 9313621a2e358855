"""From a YAML file and --set values to one frozen config, or an error that names the key and the nearest right one."""

import types
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, NamedTuple, TypeVar, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from pocketcxr.domain.errors import ConfigError

Config = TypeVar("Config", bound=BaseModel)
Place = tuple[int | str, ...]
"""Keys and list positions from the top of a config down to one value."""


class Problem(NamedTuple):
    """One wrong key or value."""

    place: Place
    message: str
    """Starts with the place's dotted name, where it has one."""
    kind: str
    """Pydantic's name of what is wrong."""


def load_config(model: type[Config], path: Path | None, overrides: Sequence[str] = ()) -> Config:
    """The `model` of the YAML file at `path` (None: defaults only) after `overrides` ("a.b=c", c read as YAML).

    Items of a list are named by their position: "objective.terms.0.weight=2". Paths in it are relative to the
    working directory. Raises ConfigError with every wrong key or value, its dotted path and the nearest right key.
    """
    data = {} if path is None else _read(path)
    for override in overrides:
        _apply(data, override, model)
    try:
        return model.model_validate(data)
    except ValidationError as error:
        where = "config" if path is None else str(path)
        raise ConfigError("\n".join(f"{where}: {one.message}" for one in problems(model, error))) from error


def problems(model: type[BaseModel], error: ValidationError) -> list[Problem]:
    """What is wrong with data that `model` refused, in words."""
    return [
        Problem(_without_tags(model, detail["loc"]), _explain(model, detail), detail["type"])
        for detail in error.errors()
    ]


def config_data(config: BaseModel) -> dict[str, object]:
    """All settings as plain YAML values, defaults included: a run's config.yaml, which load_config reads back."""
    return config.model_dump(mode="json")


def _read(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"config file {path} cannot be read ({error}); give the path of a YAML file") from error
    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"config file {path} is not valid YAML: {error}") from error
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise ConfigError(
            f"config file {path} holds a {type(data).__name__}; expected keys with values, as in 'seed: 0'"
        )
    return data


def _apply(data: dict[str, Any], override: str, model: type[BaseModel]) -> None:
    """Set one "a.b=c" inside `data`; a list that only the defaults hold is written out first, so that it has items."""
    name, equals, text = override.partition("=")
    if not equals or not all(name.split(".")):
        raise ConfigError(f"--set {override!r} is not of the form key.key=value, as in --set optim.steps=2000")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"--set {override!r}: the value is not valid YAML: {error}") from error
    parts = name.split(".")
    holder: Any = data
    for depth, part in enumerate(parts[:-1]):
        key = _key_in(holder, part, override)
        if isinstance(holder, dict) and holder.get(key) is None:
            holder[key] = _default(model, parts[: depth + 1], is_list=parts[depth + 1].isdecimal())
        holder = holder[key]
    holder[_key_in(holder, parts[-1], override)] = value


def _key_in(holder: object, part: str, override: str) -> int | str:
    """`part` as a key or a position of `holder`. Raises ConfigError where it can be neither."""
    if isinstance(holder, dict):
        return part
    if not isinstance(holder, list):
        raise ConfigError(f"--set {override!r}: {part!r} cannot be set inside {holder!r}, which holds no keys")
    if not part.isdecimal() or int(part) >= len(holder):
        there = f"items 0 to {len(holder) - 1}" if holder else "no items yet: give the whole list in the file"
        raise ConfigError(f"--set {override!r}: {part!r} is not in the list; it has {there}")
    return int(part)


def _default(model: type[BaseModel], place: Sequence[str], is_list: bool) -> list[Any] | dict[str, Any]:
    """What to put at a `place` nobody wrote yet: the default list, or an empty section (its defaults come later)."""
    if not is_list:
        return {}
    for owner in _annotations_at(model, tuple(place[:-1])):
        field = owner.model_fields.get(place[-1]) if _is_model(owner) else None
        if field is not None:
            plain = TypeAdapter(Any).dump_python(field.get_default(call_default_factory=True), mode="json")
            return plain if isinstance(plain, list) else []
    return []


def _explain(model: type[BaseModel], detail: ErrorDetails) -> str:
    place = detail["loc"]
    dotted = _dotted(_without_tags(model, place))
    match detail["type"]:
        case "extra_forbidden":
            keys = _keys_at(model, place[:-1])
            return f"{dotted} is not a setting;{_nearest(str(place[-1]), keys)} available: {', '.join(keys)}"
        case "union_tag_invalid":
            tag, known = (
                str(detail["ctx"]["tag"]),
                [name.strip("' ") for name in detail["ctx"]["expected_tags"].split(",")],
            )
            return f"{dotted}.kind: {tag!r} is unknown;{_nearest(tag, known)} available: {', '.join(sorted(known))}"
        case "union_tag_not_found":
            return f"{dotted}.kind is missing: it says which kind this is"
        case "missing":
            return f"{dotted} is missing and has no default; give it in the file or with --set {dotted}=..."
        case _ if isinstance(detail["input"], dict):  # a whole section: the message says what does not fit in it
            return f"{dotted}: {detail['msg']}" if dotted else detail["msg"]
        case _:
            return f"{dotted}: {detail['msg']} (got {detail['input']!r})"


def _nearest(word: str, known: Sequence[str]) -> str:
    near = get_close_matches(word, known, n=1)
    return f" did you mean {near[0]!r}?" if near else ""


def _dotted(place: Place) -> str:
    return ".".join(str(part) for part in place)


def _keys_at(model: type[BaseModel], place: Place) -> list[str]:
    return sorted({key for owner in _annotations_at(model, place) if _is_model(owner) for key in owner.model_fields})


def _without_tags(model: type[BaseModel], place: Place) -> Place:
    """`place` as a person writes it: pydantic adds the kind of a union's member as if it were a key."""
    kept: Place = ()
    for depth, part in enumerate(place):
        if not _is_tag(_annotations_at(model, place[:depth]), part):
            kept = (*kept, part)
    return kept


def _annotations_at(annotation: Any, place: Place) -> list[Any]:
    """The types a value at `place` may have, unions taken apart."""
    options = _options(annotation)
    for part in place:
        options = _step(options, part)
    return options


def _step(options: list[Any], part: int | str) -> list[Any]:
    if _is_tag(options, part):
        return [option for option in options if _kind(option) == part]
    inner: list[Any] = []
    for option in options:
        if _is_model(option) and part in option.model_fields:
            inner += _options(option.model_fields[part].annotation)
        elif get_origin(option) in {tuple, list} and isinstance(part, int):
            inner += _options(get_args(option)[0])
        elif get_origin(option) in {dict, Mapping}:
            inner += _options(get_args(option)[1])
    return inner


def _options(annotation: Any) -> list[Any]:
    if get_origin(annotation) is Annotated:
        return _options(get_args(annotation)[0])
    if get_origin(annotation) in {Union, types.UnionType}:
        return [option for member in get_args(annotation) for option in _options(member)]
    return [annotation]


def _is_model(option: Any) -> bool:
    return isinstance(option, type) and issubclass(option, BaseModel)


def _is_tag(options: list[Any], part: int | str) -> bool:
    return len(options) > 1 and any(_kind(option) == part for option in options)


def _kind(option: Any) -> object:
    """The value of a union member's `kind`, None for anything else."""
    return option.model_fields["kind"].default if _is_model(option) and "kind" in option.model_fields else None
