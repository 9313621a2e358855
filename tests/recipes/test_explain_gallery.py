"""Which pictures are shown: the rule as it is printed."""

from hypothesis import given
from hypothesis import strategies as st

from pocketcxr.recipes.explain_gallery import MEANING, Seen, choose

FINDINGS = ("Mass", "Nodule", "Effusion")
seen_lists = st.lists(
    st.builds(
        Seen,
        image_id=st.text("ab", max_size=3),
        finding=st.sampled_from(FINDINGS),
        probability=st.floats(0, 1),
        group=st.sampled_from(list(MEANING)),
    ),
    max_size=30,
)


@given(seen_lists, st.integers(0, 5))
def test_every_group_has_its_own_and_at_most_so_many(seen: list[Seen], num_each: int) -> None:
    for group, chosen in choose(seen, num_each).items():
        of_group = [one for one in seen if one.group == group]
        assert len(chosen) == min(num_each, len(of_group))
        assert all(one in of_group for one in chosen)


@given(seen_lists)
def test_no_finding_comes_twice_before_every_finding_came_once(seen: list[Seen]) -> None:
    for chosen in choose(seen, len(seen)).values():
        findings = [one.finding for one in chosen]
        first_turn = findings[: len(set(findings))]
        assert len(set(first_turn)) == len(first_turn)


@given(seen_lists, st.randoms())
def test_the_order_of_looking_does_not_matter(seen: list[Seen], random) -> None:
    shuffled = [*seen]
    random.shuffle(shuffled)
    assert choose(seen, 4) == choose(shuffled, 4)


def test_the_most_probable_comes_first() -> None:
    seen = [Seen(f"{number}", "Mass", number / 10, "miss") for number in range(5)]
    assert [one.image_id for one in choose(seen, 2)["miss"]] == ["4", "3"]
