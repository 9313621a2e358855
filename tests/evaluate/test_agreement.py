"""Agreement of heatmaps: held to scipy, blind to units, never flattered by a blob in the middle."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.stats import spearmanr

from pocketcxr.domain.errors import ManifestError
from pocketcxr.evaluate.agreement import (
    FIGURES,
    HeatmapSet,
    agreement,
    agreement_table,
    average_onto,
    common_grid,
    other_patients,
)

laws = settings(deadline=None, max_examples=50)
seeds = st.integers(0, 2**32 - 1)
RANK, TOP_10, TOP_25, COSINE = range(len(FIGURES))


def random_maps(seed: int, count: int = 5, rows: int = 7, columns: int = 7) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((count, rows, columns)).astype(np.float32)


def heatmaps(maps: np.ndarray, findings: tuple[str, ...] = ("Mass",), images_a_patient: int = 1) -> HeatmapSet:
    numbers = range(len(maps))
    ids = tuple(f"{number}.png" for number in numbers)
    return HeatmapSet(findings, ids, tuple(f"p{number // images_a_patient}" for number in numbers), maps)


@laws
@given(seeds)
def test_a_map_agrees_with_itself_and_its_reverse_disagrees(seed: int) -> None:
    maps = random_maps(seed)
    assert agreement(maps, maps) == pytest.approx(np.ones((5, 4)))
    reverse = agreement(maps, -maps)
    assert reverse[:, [RANK, COSINE]] == pytest.approx(-np.ones((5, 2)))
    assert (reverse[:, [TOP_10, TOP_25]] == 0).all()


@laws
@given(seeds, st.floats(0.01, 100), st.floats(-5, 5))
def test_units_and_offset_change_neither_ranks_nor_tops(seed: int, gain: float, offset: float) -> None:
    first, second = random_maps(seed), random_maps(seed + 1)
    before, after = agreement(first, second), agreement(first, second * np.float32(gain) + np.float32(offset))
    assert after[:, :COSINE] == pytest.approx(before[:, :COSINE], abs=0.02)
    assert agreement(first, second * np.float32(gain))[:, COSINE] == pytest.approx(before[:, COSINE], abs=1e-5)


@laws
@given(seeds)
def test_agreement_is_mutual_and_within_its_bounds(seed: int) -> None:
    first, second = random_maps(seed), random_maps(seed + 1, rows=14, columns=14)
    figures = agreement(first, second)
    assert figures == pytest.approx(agreement(second, first))
    assert (np.abs(figures) <= 1 + 1e-9).all()
    assert (figures[:, [TOP_10, TOP_25]] >= 0).all()


@laws
@given(arrays.arrays(np.float32, (4, 5, 5), elements=st.integers(-3, 3)), seeds)
def test_the_rank_correlation_is_scipys_ties_included(tied: np.ndarray, seed: int) -> None:
    other = random_maps(seed, 4, 5, 5)
    figures = agreement(tied, other)
    for number in range(4):
        if np.ptp(tied[number]) == 0:
            assert np.isnan(figures[number]).all()
        else:
            expected = spearmanr(tied[number].ravel(), other[number].ravel()).statistic
            assert figures[number, RANK] == pytest.approx(expected)


def test_the_top_area_is_the_hottest_cells_and_ties_that_do_not_fit_stay_out() -> None:
    first, second = np.zeros((2, 1, 4, 5), dtype=np.float32)
    first[0, 0, :2], second[0, 0, 1:3] = 1, 1
    # Two cells are a tenth; five are a quarter, and three of 18 equally cold ones cannot be told from the rest.
    assert agreement(first, second)[0, [TOP_10, TOP_25]] == pytest.approx([1 / 3, 1 / 3])
    # A plateau larger than the area is taken whole where nothing is hotter.
    first[0, 0], second[0, 0] = 1, 1
    second[0, 1] = 1
    assert agreement(first, second)[0, [TOP_10, TOP_25]] == pytest.approx([1 / 2, 1 / 2])


def test_reading_order_makes_no_agreement() -> None:
    """Two maps with one hot cell each share nothing, though sorting would fill both tops from the same corner."""
    first, second = np.zeros((2, 1, 10, 10), dtype=np.float32)
    first[0, 4, 4], second[0, 8, 2] = 1, 1
    assert agreement(first, second)[0, [RANK, TOP_10, TOP_25]] == pytest.approx([-1 / 99, 0, 0])


@laws
@given(seeds, st.sampled_from([(7, 7), (4, 5), (3, 2), (1, 1)]))
def test_averaging_keeps_the_mean_and_undoes_enlarging(seed: int, grid: tuple[int, int]) -> None:
    maps = random_maps(seed, 3, 14, 11)
    coarse = average_onto(maps, grid)
    assert coarse.shape == (3, *grid)
    assert coarse.mean(axis=(1, 2)) == pytest.approx(maps.mean(axis=(1, 2)), abs=1e-6)
    enlarged = coarse.repeat(3, axis=1).repeat(2, axis=2)
    assert average_onto(enlarged, grid) == pytest.approx(coarse)


def test_maps_are_compared_on_the_coarser_grid() -> None:
    coarse = random_maps(3)
    fine = coarse.repeat(2, axis=1).repeat(2, axis=2)
    detailed = fine + np.tile(np.float32([[1, -1], [-1, 1]]), (7, 7))
    assert common_grid(coarse, fine) == (7, 7)
    assert agreement(coarse, detailed) == pytest.approx(np.ones((5, 4)), abs=1e-6)


def test_a_constant_map_is_undefined_not_zero() -> None:
    maps = random_maps(0, 4)
    flat = maps.copy()
    flat[1], flat[2] = 0, np.float32(0.1) * (1 + np.float32(1e-7))
    flat[3] = maps[3]
    figures = agreement(maps, flat)
    assert np.isnan(figures).all(axis=1).tolist() == [False, True, True, False]


@laws
@given(st.lists(st.integers(0, 6), min_size=1, max_size=40))
def test_partners_are_other_patients_each_taken_once(numbers: list[int]) -> None:
    patients = [f"p{number}" for number in numbers]
    partners = other_patients(patients)
    if partners is None:
        assert max(patients.count(one) for one in patients) * 2 > len(patients)
    else:
        assert sorted(partners) == list(range(len(patients)))
        assert all(patients[row] != patients[partner] for row, partner in enumerate(partners))


def test_chance_is_as_high_as_agreement_where_both_models_ignore_the_image() -> None:
    rng = np.random.default_rng(0)
    blob = np.exp(-np.add.outer(np.linspace(-1, 1, 7) ** 2, np.linspace(-1, 1, 7) ** 2))
    first, second = ((blob + 0.02 * rng.standard_normal((30, 1, 7, 7))).astype(np.float32) for _ in range(2))
    table = agreement_table(heatmaps(first), heatmaps(second))
    assert table.figures[..., RANK].mean() > 0.9
    assert table.chance[..., RANK].mean() == pytest.approx(table.figures[..., RANK].mean(), abs=0.01)


def test_only_what_is_asked_for_is_compared_and_shared_findings_only() -> None:
    first = heatmaps(random_maps(0, 24).reshape(8, 3, 7, 7), ("Mass", "Edema", "Nodule"))
    second = heatmaps(random_maps(1, 16).reshape(8, 2, 7, 7), ("Nodule", "Mass"))
    asked = np.zeros((8, 3), dtype=bool)
    asked[:4, 0], asked[6, 2] = True, True
    table = agreement_table(first, second, asked)
    assert table.findings == ("Mass", "Nodule")
    assert table.is_asked.sum(axis=0).tolist() == [4, 1]
    assert np.array_equal(~np.isnan(table.figures[..., RANK]), table.is_asked)
    assert np.isnan(table.chance[:, 1]).all()
    assert table.figures[6, 1] == pytest.approx(agreement(first.maps[6:7, 2], second.maps[6:7, 0])[0])


def test_other_images_and_no_shared_finding_are_refused() -> None:
    first = heatmaps(random_maps(0)[:, None])
    with pytest.raises(ManifestError, match="different images"):
        agreement_table(first, heatmaps(random_maps(0)[:3, None]))
    with pytest.raises(ManifestError, match="share no finding"):
        agreement_table(first, heatmaps(random_maps(0)[:, None], ("Edema",)))
    with pytest.raises(ManifestError, match=r"\[image, finding, h, w\]"):
        heatmaps(random_maps(0))
