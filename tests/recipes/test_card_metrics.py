"""From a manifest to groups, and from a run's report to what a card says of them."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pocketcxr.domain.errors import CheckpointError
from pocketcxr.evaluate.ranking import rank
from pocketcxr.evaluate.scores import ScoreTable
from pocketcxr.evaluate.subgroups import subgroups
from pocketcxr.recipes.card_metrics import card_metrics
from pocketcxr.recipes.evaluate import EvaluationReport
from pocketcxr.recipes.subgroups import groupings

NUM = 120


@pytest.fixture
def people() -> pd.DataFrame:
    """A manifest's columns of who was X-rayed how; ages and sexes are missing in some rows."""
    return pd.DataFrame(
        {
            "image_id": [f"{row}.png" for row in range(NUM)],
            "sex": ["F", "M", "UNKNOWN", "O"] * (NUM // 4),
            "age_years": [17.9, 18.0, 80.0, np.nan] * (NUM // 4),
            "view_position": ["PA", "AP", "LATERAL", "UNKNOWN"] * (NUM // 4),
        }
    )


@pytest.fixture
def report(people: pd.DataFrame) -> EvaluationReport:
    rng = np.random.default_rng(0)
    labels = (rng.random((NUM, 2)) < 0.5).astype(np.float32)
    labels[:, 1] = np.nan
    table = ScoreTable(
        findings=("Mass", "Hernia"),
        image_ids=tuple(people["image_id"]),
        patient_ids=tuple(f"p{row}" for row in range(NUM)),
        labels=labels,
        probabilities=rng.random((NUM, 2)).astype(np.float32),
    )
    people = people.assign(sex=["F"] * 100 + ["UNKNOWN"] * 20)
    by_group = subgroups(table, groupings(people, table.image_ids), rng, 50)
    return EvaluationReport(
        created="2026-01-02",
        source="run",
        model="net",
        cohort="a test",
        manifest="m.parquet",
        split=None,
        is_simulated=True,
        seed=0,
        parameters=1,
        macs=None,
        milliseconds=1.0,
        engine="none",
        refused=(),
        ranking=rank(table, rng, 50),
        subgroups=by_group,
    )


def test_groups_follow_the_scored_images_and_unknown_is_one_of_them(people: pd.DataFrame) -> None:
    sex, age, view = groupings(people, ["3.png", "2.png", "0.png", "1.png"])
    assert (sex.attribute, age.attribute, view.attribute) == ("sex", "age", "view")
    assert sex.of_image == ("other", "unknown", "female", "male")
    assert age.of_image == ("unknown", "80+", "0-17", "18-39")
    assert view.of_image == ("unknown", "lateral", "PA", "AP")
    assert all(set(one.of_image) <= set(one.groups) for one in (sex, age, view))


def test_the_card_has_every_group_and_every_figure_there_is(report: EvaluationReport, tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text(report.model_dump_json())
    metrics, groups = card_metrics(path)
    assert report.subgroups is not None
    assert [group.name for group in groups][:2] == ["sex: female", "sex: unknown"]
    assert [group.num_images for group in groups] == [group.num_images for group in report.subgroups.groups]
    whole = [metric for metric in metrics if metric.group is None]
    assert [(metric.name, metric.finding) for metric in whole[:4]] == [
        ("auroc", None),
        ("auprc", None),
        ("auroc", "Mass"),
        ("auprc", "Mass"),
    ]
    figures = {(metric.name, metric.finding, metric.group): metric for metric in metrics}
    assert len(figures) == len(metrics)
    for group in report.subgroups.groups:
        row, name = group.findings[0], f"{group.attribute}: {group.group}"
        if row.auroc is None:
            assert ("auroc", "Mass", name) not in figures
        else:
            assert figures[("auroc", "Mass", name)].value == row.auroc.value
        assert ("auroc", "Hernia", name) not in figures
        mean = figures[("auroc-minus-rest", None, name)]
        assert mean.value == (None if group.difference is None else group.difference.value)
        assert next(one for one in groups if one.name == name).num_scored == len(group.mean_over)


def test_a_report_of_before_groups_is_read_and_none_is_no_error(report: EvaluationReport, tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    assert card_metrics(path) == ((), ())
    path.write_text(report.model_dump_json(exclude={"subgroups"}))
    metrics, groups = card_metrics(path)
    assert len(metrics) == 6
    assert groups == ()
    path.write_text("{}")
    with pytest.raises(CheckpointError, match=r"report\.json"):
        card_metrics(path)
