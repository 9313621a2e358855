"""Who is on the front, and that the plot shows everybody."""

from itertools import pairwise
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from pocketcxr.evaluate.fronts import Point, front, front_plot


def point(name: str, macs: float, auroc: float, is_labelled: bool = True) -> Point:
    return Point(name, macs, auroc, auroc - 0.01, auroc + 0.02, "distilled", is_labelled)


points = st.lists(
    st.builds(
        point, st.text("abc", min_size=1, max_size=3), st.integers(1, 5).map(float), st.integers(5, 9).map(float)
    ),
    min_size=1,
    max_size=12,
)


@given(points)
def test_nobody_beats_the_front_and_whoever_is_off_it_is_beaten_or_equalled(some: list[Point]) -> None:
    best = front(some)
    for one in some:
        is_matched = any(other.macs <= one.macs and other.auroc >= one.auroc for other in best)
        assert is_matched
    for one in best:
        assert not any(other.macs <= one.macs and other.auroc > one.auroc for other in some)
        assert not any(other.macs < one.macs and other.auroc >= one.auroc for other in some)


def test_every_model_is_drawn_and_the_labelled_ones_are_named() -> None:
    plot = front_plot([point("small <1>", 3e8, 0.71), point("big", 8e9, 0.8), point("loser", 3e8, 0.6, False)])
    root = ElementTree.fromstring(plot)
    assert len(root.findall(".//circle")) == 3
    names = [text.text for text in root.findall("text") if text.get("class") == "name"]
    assert names == ["big", "small <1>"]
    assert "loser: 0.600 at 300 million" in root.get("aria-label", "")


def test_names_at_one_price_do_not_overlap() -> None:
    root = ElementTree.fromstring(front_plot([point(str(n), 1e8, 0.7 + n / 1e4) for n in range(5)]))
    heights = sorted(float(text.get("y", 0)) for text in root.findall("text") if text.get("class") == "name")
    assert min(lower - upper for upper, lower in pairwise(heights)) >= 12


def test_without_models_there_is_no_plot() -> None:
    assert front_plot([]) == ""
