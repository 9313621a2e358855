"""Which form of a file a browser is sent."""

import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pocketcxr.apps.web.compression import Encoding, choose_encoding, gzipped

BOTH: tuple[Encoding, Encoding] = ("br", "gzip")


@pytest.mark.parametrize(
    ("accepted", "chosen"),
    [
        (None, None),
        ("", None),
        ("gzip, deflate, br, zstd", "br"),
        ("gzip, deflate", "gzip"),
        ("GZIP", "gzip"),
        ("br;q=0.5, gzip;q=0.8", "gzip"),
        ("br; q=1.0 , gzip;q=0.8", "br"),
        ("br;q=0, gzip", "gzip"),
        ("*", "br"),
        ("br;q=0, *;q=0.1", "gzip"),
        ("identity", None),
        ("identity;q=1, gzip;q=0.5", None),
        ("identity;q=0.5, gzip;q=0.5", "gzip"),
        ("gzip;q=2", None),
        ("gzip;q=x, br;level=1", None),
        ("deflate", None),
    ],
)
def test_the_header_decides(accepted: str | None, chosen: Encoding | None) -> None:
    assert choose_encoding(accepted, BOTH) == chosen


@given(st.dictionaries(st.sampled_from(["br", "gzip", "identity", "*", "zstd"]), st.integers(0, 1000)))
def test_nothing_refused_is_sent_and_the_heaviest_wins(weights: dict[str, int]) -> None:
    header = ", ".join(f"{name};q={weight / 1000:.3f}" for name, weight in weights.items())
    chosen = choose_encoding(header, BOTH)
    of = {name: weights.get(name, weights.get("*", 0)) for name in BOTH}
    if chosen is None:
        assert max(of.values()) == 0 or weights.get("identity", 0) > max(of.values())
    else:
        assert of[chosen] == max(of.values()) > 0


@given(st.text(max_size=60))
def test_no_header_is_an_error(header: str) -> None:
    assert choose_encoding(header, BOTH) in {None, "br", "gzip"}


@given(st.binary(max_size=3000))
def test_a_kept_form_is_smaller_and_the_same(content: bytes) -> None:
    for smaller in gzipped(content).values():
        assert len(smaller) < len(content)
        assert gzip.decompress(smaller) == content
        assert gzipped(content) == {"gzip": smaller}
