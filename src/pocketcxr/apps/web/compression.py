"""Compressed forms of a file, and which one a browser is sent (RFC 9110, section 12.5.3)."""

import gzip
from collections.abc import Iterable, Mapping
from typing import Literal

Encoding = Literal["br", "gzip"]

SUFFIXES: Mapping[Encoding, str] = {"br": ".br", "gzip": ".gz"}
"""Endings of the compressed files that page/build.mjs writes; in order of preference: the smaller first."""

_WORTHWHILE = 0.95
"""A compressed form that saves less than a twentieth is not kept."""


def gzipped(content: bytes) -> Mapping[Encoding, bytes]:
    """`content` by gzip, equal for equal bytes; nothing where that saves too little."""
    smaller = gzip.compress(content, compresslevel=6, mtime=0)
    return {"gzip": smaller} if len(smaller) < _WORTHWHILE * len(content) else {}


def choose_encoding(accepted: str | None, offered: Iterable[Encoding]) -> Encoding | None:
    """The encoding of `offered` that an Accept-Encoding header asks for; None: send the file as it is.

    The highest weight wins, and among equals the first offered. A file as it is has weight 1 unless the header says
    otherwise, and loses against an equal. What cannot be read in the header is left out of it.
    """
    weights = _weights(accepted or "")
    best: Encoding | None = None
    best_weight = 0.0
    for encoding in offered:
        weight = weights.get(encoding, weights.get("*", 0.0))
        if weight > best_weight:
            best, best_weight = encoding, weight
    return best if best_weight >= weights.get("identity", 0.0) else None


def _weights(header: str) -> dict[str, float]:
    weights: dict[str, float] = {}
    for item in header.split(","):
        name, _, parameter = item.partition(";")
        weight = _weight(parameter)
        if name.strip() and weight is not None:
            weights[name.strip().lower()] = weight
    return weights


def _weight(parameter: str) -> float | None:
    """The q of one item, 1 where there is none; None where it is no number from 0 to 1."""
    key, _, value = parameter.partition("=")
    if not key.strip():
        return 1.0
    text = value.strip()
    if key.strip().lower() != "q" or len(text) > 5 or not text.replace(".", "", 1).isdecimal() or not text.isascii():
        return None
    weight = float(text)
    return weight if weight <= 1 else None
