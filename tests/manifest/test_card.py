"""The card: its counts are the table's, its page is whole, safe and says what a user must know."""

import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pocketcxr.domain.errors import ManifestError, RefusalCode
from pocketcxr.domain.prediction import Refusal
from pocketcxr.domain.study import LabelState, Sex, Split, ViewPosition
from pocketcxr.manifest.card import percent, render, shown_together, write_card
from pocketcxr.manifest.card_content import AGE_BANDS, DataCard, describe
from pocketcxr.manifest.card_warnings import warnings
from pocketcxr.manifest.contact_sheet import ContactSheet
from pocketcxr.manifest.leaks import LeakReport, check_leaks
from pocketcxr.manifest.rules import REGION_COLUMNS, label_column, no_regions
from pocketcxr.manifest.schema import Manifest, ManifestHeader, validate

MakeManifest = Callable[..., Manifest]
FINDINGS = ("Edema", "Mass", "Pleural_Thickening")
VOID = {"meta", "img", "br", "link", "input", "hr"}


@st.composite
def manifests(draw: st.DrawFn) -> Manifest:
    """Any small manifest that keeps the rules."""
    num = draw(st.integers(1, 25))
    splits = draw(st.lists(st.sampled_from([one.value for one in Split]), min_size=8, max_size=8))
    patients = draw(st.lists(st.integers(0, 7), min_size=num, max_size=num))
    ages = st.one_of(st.just(float("nan")), st.sampled_from([0.0, 17.9, 18.0, 39.5, 40.0, 60.0, 79.9, 80.0, 120.0]))
    columns: dict[str, object] = {
        "image_id": [f"i{row}" for row in range(num)],
        "path": [f"i{row}.png" for row in range(num)],
        "source": draw(st.lists(st.sampled_from(["one", "two"]), min_size=num, max_size=num)),
        "patient_id": [f"p{patient}" for patient in patients],
        "study_id": [f"s{patient}" for patient in patients],
        "view_position": draw(st.lists(st.sampled_from([v.value for v in ViewPosition]), min_size=num, max_size=num)),
        "sex": draw(st.lists(st.sampled_from([sex.value for sex in Sex]), min_size=num, max_size=num)),
        "age_years": np.array(draw(st.lists(ages, min_size=num, max_size=num))),
        "height": np.array(draw(st.lists(st.sampled_from([0, 50, 80]), min_size=num, max_size=num))),
        "width": np.full(num, 40),
        "split": [splits[patient] for patient in patients],
    }
    states = st.lists(st.sampled_from([state.value for state in LabelState]), min_size=num, max_size=num)
    labels = {label_column(finding): draw(states) for finding in FINDINGS}
    header = ManifestHeader(source="any", root="/data", findings=FINDINGS, is_labels_only=True)
    manifest = Manifest(pd.DataFrame(columns | labels), no_regions(), header)
    validate(manifest)
    return manifest


@settings(max_examples=25, deadline=None)
@given(manifests())
def test_counts_are_those_of_the_table(manifest: Manifest) -> None:
    card, table = describe(manifest), manifest.table
    for split, told in card.splits.items():
        rows = table[table["split"] == split]
        assert (told.num_images, told.num_patients) == (len(rows), rows["patient_id"].nunique())
        assert {view: (rows["view_position"] == view).sum() for view in told.views} == told.views
        assert {sex: (rows["sex"] == sex).sum() for sex in told.sexes} == told.sexes
        assert {source: (rows["source"] == source).sum() for source in told.sources} == told.sources
        assert told.ages["0-17"] == (rows["age_years"] < 18).sum()
        assert told.ages["60-79"] == ((rows["age_years"] >= 60) & (rows["age_years"] < 80)).sum()
        assert told.ages["unknown"] == rows["age_years"].isna().sum()
        assert sum(told.ages.values()) == sum(told.views.values()) == sum(told.sexes.values()) == len(rows)
    for one in card.findings:
        for split in Split:
            states = table[label_column(one.finding)][table["split"] == split.value]
            counted = {name.replace("_", "-"): count for name, count in one.splits[split.value].model_dump().items()}
            assert counted == {state.value: (states == state.value).sum() for state in LabelState}
        assert sum(one.total.model_dump().values()) == manifest.num_images
    assert card.sizes.num_unknown + sum(count for *_, count in card.sizes.common) == manifest.num_images


@settings(max_examples=25, deadline=None)
@given(manifests())
def test_co_occurrence_is_symmetric_in_counts_and_its_diagonal_is_the_finding_itself(manifest: Manifest) -> None:
    together = describe(manifest).co_occurrence
    counts = np.array(together.counts)
    assert (counts == counts.T).all()
    present = [(manifest.table[label_column(finding)] == "present").sum() for finding in FINDINGS]
    assert counts.diagonal().tolist() == present
    for row, column in np.ndindex(counts.shape):
        share = together.shares[row][column]
        assert share is None if not present[row] else share == counts[row, column] / present[row]


@settings(max_examples=25, deadline=None)
@given(manifests())
def test_the_card_survives_json_and_its_prevalences_lie_in_their_intervals(manifest: Manifest) -> None:
    card = describe(manifest)
    assert DataCard.model_validate_json(card.model_dump_json()) == card
    for one in card.findings:
        if one.prevalence is None:
            assert one.total.num_known == 0
        else:
            rounding = 1e-12
            assert one.prevalence.low - rounding <= one.prevalence.value <= one.prevalence.high + rounding


@settings(max_examples=25, deadline=None)
@given(manifests())
def test_any_manifest_has_a_well_formed_page(manifest: Manifest) -> None:
    page = WellFormed()
    page.feed(render(describe(manifest), ContactSheet((), "none")))
    assert page.open == []


def test_wilson_s_interval_is_the_published_one(make_manifest: MakeManifest) -> None:
    """Newcombe 1998 (Statistics in Medicine 17:857), table I: 81 of 263 gives .2553 to .3662."""
    prevalence = describe(make_manifest({"Edema": ["present"] * 81 + ["absent"] * 182})).findings[0].prevalence
    assert prevalence is not None
    assert (round(prevalence.low, 4), round(prevalence.high, 4)) == (0.2553, 0.3662)


def test_boxes_are_counted_with_their_share_of_the_image(make_manifest: MakeManifest) -> None:
    manifest = make_manifest({"Edema": ["present", "present"], "Mass": ["absent", "absent"]})
    boxes = [("0.png", "Edema", 0.0, 0.0, 8.0, 10.0), ("0.png", "Edema", 1.0, 1.0, 40.0, 50.0)]
    card = describe(replace(manifest, regions=pd.DataFrame(boxes, columns=list(REGION_COLUMNS))))
    edema, mass = card.findings
    assert mass.boxes is None
    assert edema.boxes is not None
    assert (edema.boxes.num, edema.boxes.num_images) == (2, 1)
    assert edema.boxes.area_share is not None
    assert (edema.boxes.area_share.least, edema.boxes.area_share.greatest) == (0.01, 0.25)
    manifest.table["height"] = 0
    unknown = describe(replace(manifest, regions=pd.DataFrame(boxes, columns=list(REGION_COLUMNS)))).findings[0]
    assert unknown.boxes is not None
    assert unknown.boxes.area_share is None


class WellFormed(HTMLParser):
    """Collects what is opened and closed and every address."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.addresses += [value or "" for name, value in attrs if name in {"src", "href", "xlink:href", "data"}]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_asks_nothing_of_anybody_and_runs_no_script(make_manifest: MakeManifest, tmp_path: Path) -> None:
    manifest = make_manifest({"Edema": ["present", "absent"] * 2}, splits=["train", "validation", "test", "test"])
    path = write_card(manifest, tmp_path / "card", np.random.default_rng(0))
    text = path.read_text(encoding="utf-8")
    page = WellFormed()
    page.feed(text)
    assert page.open == []
    assert "script" not in page.tags
    assert all(address.startswith("data:image/jpeg;base64,") for address in page.addresses)
    assert not re.search(r"https?://|@import|url\(", text)
    assert DataCard.model_validate_json((path.parent / "card.json").read_text(encoding="utf-8")) == describe(manifest)
    assert sorted(file.name for file in path.parent.iterdir()) == ["card.html", "card.json"]


def test_hostile_texts_are_shown_not_run(make_manifest: MakeManifest) -> None:
    attack = "<script>alert(1)</script>"
    manifest = make_manifest({attack: ["present", "absent"], "Mass": ["present", "present"]})
    manifest.table["source"] = ["a", attack]
    header = manifest.header.model_copy(update={"source": attack, "notes": (attack,)})
    refused = (Refusal("x", RefusalCode.CORRUPT, attack),)
    text = render(describe(replace(manifest, header=header, refused=refused)), ContactSheet((), attack))
    assert "<script" not in text
    assert text.count("&lt;script&gt;") >= 6


def test_a_folder_that_cannot_be_made_is_a_manifest_error(make_manifest: MakeManifest, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ManifestError, match="cannot be written"):
        write_card(make_manifest({"Edema": ["present"]}), tmp_path / "file", np.random.default_rng(0))


def test_one_image_no_findings_and_unknown_ages_have_a_card(make_manifest: MakeManifest, tmp_path: Path) -> None:
    one = make_manifest({"Edema": ["present"]})
    bare = replace(
        one,
        table=one.table.drop(columns="label.Edema").assign(age_years=np.nan),
        header=one.header.model_copy(update={"findings": ()}),
    )
    card = describe(bare)
    assert (card.findings, card.co_occurrence.counts) == ((), ())
    assert card.splits["train"].ages == {**dict.fromkeys(AGE_BANDS, 0), "unknown": 1}
    assert "1 image of 1 patient, 0 findings" in write_card(bare, tmp_path, np.random.default_rng(0)).read_text()
    assert "The age is unknown in 100 % of the images." in warnings(card)


def test_refusals_are_counted_by_code_and_the_leakage_check_is_told(make_manifest: MakeManifest) -> None:
    manifest = make_manifest({"Edema": ["present"]})
    codes = [RefusalCode.CORRUPT, RefusalCode.EMPTY_FILE, RefusalCode.CORRUPT]
    refused = tuple(Refusal("x.png", code, "") for code in codes)
    card = describe(replace(manifest, refused=refused))
    assert card.refused == {"corrupt": 2, "empty-file": 1}
    page = render(card, ContactSheet(()), check_leaks(manifest, images=False))
    assert "corrupt: 2, empty-file: 1" in page
    assert "the pictures were not compared" in page
    torn = LeakReport(num_images=1, num_compared=0, patients=("p0",), studies=(), pairs=())
    assert "1 patients are in two splits (first: p0)." in render(card, ContactSheet(()), torn)


SPLITS = ["train"] * 100 + ["validation"] * 100 + ["test"] * 100
GOOD = (["present"] * 50 + ["absent"] * 50) * 3


def test_nothing_is_warned_of_where_nothing_is_wrong(make_manifest: MakeManifest) -> None:
    manifest = make_manifest({"Edema": GOOD}, splits=SPLITS)
    manifest.table["age_years"] = 50.0
    assert warnings(describe(manifest)) == ()


@pytest.mark.parametrize(
    ("states", "told"),
    [
        (GOOD[:200] + ["present"] * 3 + ["absent"] * 97, "Fewer than 20 positive test images: Edema (3)."),
        (GOOD[:100] + ["absent"] * 100 + GOOD[:100], "No positive validation image: Edema."),
        (["absent"] * 100 + GOOD[:200], "No positive training image: Edema."),
        (GOOD[:200] + ["present"] * 100, "No negative test image is known for Edema"),
        (GOOD[:200] + ["uncertain"] * 60 + GOOD[20:60], "Often uncertain where they are mentioned: Edema (20 %)."),
        (["not-labelled"] * 300, "No label is known at all for Edema."),
    ],
)
def test_labels_that_cannot_carry_a_score_are_warned_of(
    make_manifest: MakeManifest, states: list[str], told: str
) -> None:
    assert told in " ".join(warnings(describe(make_manifest({"Edema": states}, splits=SPLITS))))


def test_views_people_and_empty_splits_are_warned_of(make_manifest: MakeManifest) -> None:
    manifest = make_manifest({"Edema": GOOD}, splits=["train"] * 200 + ["test"] * 100)
    is_test = manifest.table["split"] == "test"
    manifest.table["view_position"] = np.where(is_test, "LATERAL", manifest.table["view_position"])
    manifest.table["patient_id"] = np.where(is_test, "one", manifest.table["patient_id"])
    told = " ".join(warnings(describe(manifest)))
    for sentence in (
        "No image is in validation.",
        "Test holds only 1 patient,",
        "Every image in test is LATERAL.",
        "Test has LATERAL images, training has none.",
        "The age is unknown in 50 % of the images.",
    ):
        assert sentence in told


def test_of_many_findings_the_most_frequent_are_shown_together(make_manifest: MakeManifest) -> None:
    states = {f"F{n}": ["present"] * n + ["absent"] * (20 - n) for n in range(20)}
    assert shown_together(describe(make_manifest(states)).co_occurrence) == list(range(4, 20))


@pytest.mark.parametrize(
    ("share", "text"),
    [(0, "0 %"), (1, "100 %"), (0.123, "12 %"), (0.034, "3.4 %"), (0.0021, "0.21 %"), (1e-6, "< 0.01 %")],
)
def test_shares_keep_their_figures(share: float, text: str) -> None:
    assert percent(share) == text
