"""A run's report.json -> what a bundle's card says of its figures."""

from pathlib import Path
from typing import NamedTuple

from pydantic import BaseModel, ValidationError

from pocketcxr.domain.errors import CheckpointError
from pocketcxr.evaluate.bootstrap import Estimate
from pocketcxr.evaluate.ranking import RankingReport
from pocketcxr.evaluate.subgroups import GroupReport, SubgroupReport
from pocketcxr.runtime.card import Group, Metric


class CardMetrics(NamedTuple):
    """Both are empty where the run was not evaluated; groups too where it was so by an older version."""

    metrics: tuple[Metric, ...]
    groups: tuple[Group, ...]


class _Evaluation(BaseModel, extra="ignore"):
    """What is read of a run's report.json."""

    cohort: str
    ranking: RankingReport
    subgroups: SubgroupReport | None = None


def card_metrics(report: Path) -> CardMetrics:
    """The figures of the run's last evaluation, whose report.json is at `report`.

    Raises CheckpointError where there is one that cannot be read.
    """
    if not report.exists():
        return CardMetrics((), ())
    try:
        evaluation = _Evaluation.model_validate_json(report.read_bytes())
    except (OSError, ValidationError) as error:
        raise CheckpointError(
            f"{report} cannot be read ({error}); run pocketcxr evaluate again, or delete it"
        ) from error
    groups = () if evaluation.subgroups is None else evaluation.subgroups.groups
    metrics = _of_all(evaluation.ranking, evaluation.cohort)
    for group in groups:
        metrics += _of_group(group, evaluation.cohort)
    return CardMetrics(tuple(metrics), tuple(_group(group) for group in groups))


def _of_all(ranking: RankingReport, cohort: str) -> list[Metric]:
    metrics = [_metric("auroc", None, cohort, ranking.mean_auroc), _metric("auprc", None, cohort, ranking.mean_auprc)]
    for row in ranking.findings:
        metrics += [_metric("auroc", row.finding, cohort, row.auroc), _metric("auprc", row.finding, cohort, row.auprc)]
    return metrics


def _of_group(group: GroupReport, cohort: str) -> list[Metric]:
    """The group's figures; findings without one are left out, the group says how many have one."""
    metrics = [
        _metric("auroc", None, cohort, group.mean_auroc),
        _metric("auroc-minus-rest", None, cohort, group.difference),
    ]
    for row in group.findings:
        if row.auroc is not None:
            metrics.append(_metric("auroc", row.finding, cohort, row.auroc))
        if row.difference is not None:
            metrics.append(_metric("auroc-minus-rest", row.finding, cohort, row.difference))
    return [metric.model_copy(update={"group": _name(group)}) for metric in metrics]


def _group(group: GroupReport) -> Group:
    return Group(
        name=_name(group),
        attribute=group.attribute,
        num_images=group.num_images,
        num_patients=group.num_patients,
        num_scored=len(group.mean_over),
    )


def _name(group: GroupReport) -> str:
    return f"{group.attribute}: {group.group}"


def _metric(name: str, finding: str | None, cohort: str, estimate: Estimate | None) -> Metric:
    if estimate is None:
        return Metric(name=name, finding=finding, cohort=cohort, value=None, low=None, high=None)
    return Metric(name=name, finding=finding, cohort=cohort, value=estimate.value, low=estimate.low, high=estimate.high)
