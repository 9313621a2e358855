"""Randomisation and repeatability: a method that ignores the net is caught, one that reads it passes."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pocketcxr.domain.errors import ConfigError, ManifestError
from pocketcxr.explain.map_similarity import beyond_noise, noise_floor
from pocketcxr.explain.one_pass import one_pass
from pocketcxr.explain.sanity import (
    MAX_BEYOND_NOISE,
    Cascade,
    cascading_randomisation,
    data_randomisation,
    repeatability,
)
from pocketcxr.models.build import build
from pocketcxr.models.config import NetConfig
from pocketcxr.models.heads import ClassMapHead
from pocketcxr.models.outputs import ModelOutput, Net

NUM_FINDINGS = 6


class SmallNet(Net):
    """Three layers, the last one a class-map head, and maps as fine as the image."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.first = nn.Conv2d(1, 12, 3, padding=1)
            self.second = nn.Conv2d(12, 16, 3, padding=1)
            self.head = ClassMapHead(16, NUM_FINDINGS)

    def forward(self, images: Tensor) -> ModelOutput:
        return self.head(torch.relu(self.second(torch.relu(self.first(images)))))

    def tap(self, stride: int) -> nn.Module:
        return self.second


@pytest.fixture(scope="module")
def images() -> Tensor:
    return torch.randn(12, 1, 10, 10, generator=torch.Generator().manual_seed(3))


def maps_of(net: Net, images: Tensor) -> np.ndarray:
    return one_pass(net, images).class_maps.numpy()


def edges_of(net: Net, images: Tensor) -> np.ndarray:
    """A method that never looks at the net."""
    return np.abs(np.diff(images.numpy(), axis=3)).repeat(NUM_FINDINGS, axis=1)


def signed_by(net: Net, images: Tensor) -> np.ndarray:
    """Edges whose sign is the net's: the same picture all the same."""
    signs = np.sign(maps_of(net, images).mean(axis=(2, 3), keepdims=True))
    return np.asarray(edges_of(net, images) * signs)


def smooth(seed: int, count: int = 40) -> np.ndarray:
    noise = torch.randn(count, 1, 12, 12, generator=torch.Generator().manual_seed(seed))
    return nn.functional.avg_pool2d(noise, 5, stride=1).repeat(1, 2, 1, 1).numpy()


FRESH = [SmallNet(seed) for seed in range(20, 26)]


def test_maps_that_read_the_net_pass_and_leave_it_as_found(images: Tensor) -> None:
    net = SmallNet(0).train()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    report = cascading_randomisation(net, FRESH, maps_of, images)
    assert report.is_passed
    assert [stage.layer for stage in report.stages] == ["head.maps", "second", "first"]
    assert [stage.num_random for stage in report.stages] == [1, 2, 3]
    assert (report.num_layers, report.num_fresh) == (3, 6)
    assert report.stages[-1].similarity.num_maps == 12 * NUM_FINDINGS * 6
    assert net.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())


@pytest.mark.parametrize("method", [edges_of, signed_by])
def test_maps_that_show_the_image_fail_even_if_their_sign_turns(
    method: Callable[[Net, Tensor], np.ndarray], images: Tensor
) -> None:
    report = cascading_randomisation(SmallNet(0), FRESH, method, images)
    assert not report.is_passed
    last = report.stages[-1]
    assert last.beyond_noise == pytest.approx(1, abs=1e-6)
    assert last.similarity.absolute_rank_correlation == pytest.approx(1)


def test_a_net_replaced_by_itself_stays_itself(images: Tensor) -> None:
    report = cascading_randomisation(SmallNet(0), [SmallNet(0)], maps_of, images)
    assert [stage.beyond_noise for stage in report.stages] == pytest.approx([1, 1, 1])


def test_a_reference_does_not_lend_trained_maps_to_random_weights(images: Tensor) -> None:
    net = SmallNet(0)
    net.head.reference.put(50 * torch.randn(NUM_FINDINGS, 10, 10, generator=torch.Generator().manual_seed(0)))
    report = cascading_randomisation(net, FRESH, maps_of, images)
    assert report.is_passed
    assert net.head.reference.maps.numel() > 0


def test_the_last_stage_is_the_fresh_net_with_its_running_statistics() -> None:
    config = NetConfig(name="eeea-net-c2-map", output_stride=16)
    net, fresh = (build(config, NUM_FINDINGS, seed=seed) for seed in (1, 2))
    images = torch.randn(2, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        net(images)
    seen: list[np.ndarray] = []

    def explain(given: Net, inputs: Tensor) -> np.ndarray:
        seen.append(maps_of(given, inputs))
        return seen[-1]

    report = cascading_randomisation(net, [fresh], explain, images, Cascade(num_stages=3))
    assert [stage.num_random for stage in report.stages][-1] == report.num_layers
    assert report.stages[0].layer == "head.maps"
    assert len(seen) == 1 + 3
    np.testing.assert_allclose(seen[-1], maps_of(fresh, images), atol=1e-6)
    assert not np.allclose(seen[-2], seen[-1])


def test_flat_maps_are_counted_and_show_nothing_of_the_original(images: Tensor) -> None:
    net = SmallNet(0)

    def explain(given: Net, inputs: Tensor) -> np.ndarray:
        return maps_of(given, inputs) if given is net else np.ones((12, NUM_FINDINGS, 10, 10), np.float32)

    report = cascading_randomisation(net, FRESH[:1], explain, images)
    last = report.stages[-1]
    assert (last.similarity.num_flat, last.similarity.rank_correlation, last.beyond_noise) == (72, None, None)
    assert report.is_passed


def test_what_cannot_be_compared_is_refused_by_name(images: Tensor) -> None:
    with pytest.raises(ConfigError, match="at least one net"):
        cascading_randomisation(SmallNet(0), [], maps_of, images)
    with pytest.raises(ConfigError, match="same configuration"):
        cascading_randomisation(SmallNet(0), [build(NetConfig(name="eeea-net-c2-map"), 2)], maps_of, images)
    with pytest.raises(ManifestError, match="every map is flat"):
        noise_floor(np.ones((3, 2, 4, 4), np.float32), np.random.default_rng(0))
    with pytest.raises(ManifestError, match="explain the same ones"):
        data_randomisation(smooth(0), smooth(0)[:5], np.random.default_rng(0))
    with pytest.raises(ConfigError, match="two nets or more, got 1"):
        repeatability([smooth(0)], np.random.default_rng(0))


def test_permuted_labels_that_give_the_same_maps_fail_and_unrelated_maps_pass() -> None:
    rng = np.random.default_rng(0)
    same = data_randomisation(smooth(0), smooth(0) + 0.01 * smooth(1), rng)
    assert not same.is_passed
    other = data_randomisation(smooth(0), smooth(1), rng)
    assert other.is_passed
    assert other.beyond_noise is not None
    assert other.beyond_noise < MAX_BEYOND_NOISE
    assert beyond_noise(other.floor, other.floor) == 0


def test_repeatability_takes_every_two_nets_and_noise_is_no_agreement() -> None:
    rng = np.random.default_rng(0)
    common = smooth(0)
    report = repeatability([common, common, smooth(1)], rng)
    assert [one.rank_correlation for one in report.pairs] == pytest.approx(
        [1, report.pairs[1].rank_correlation, report.pairs[1].rank_correlation]
    )
    assert report.mean.rank_correlation == pytest.approx(
        np.mean([one.rank_correlation for one in report.pairs if one.rank_correlation is not None])
    )
    assert report.floor.rank_correlation is not None
    assert abs(report.floor.rank_correlation) < 0.1
    assert report.num_nets == 3


class Probabilities(nn.Module):
    """Quantus wants a model that answers with a tensor."""

    def __init__(self, net: Net) -> None:
        super().__init__()
        self.net = net

    def forward(self, inputs: Tensor) -> Tensor:
        return self.net(inputs).logits


def test_each_stage_is_quantus_mprt(images: Tensor) -> None:
    quantus = pytest.importorskip("quantus", reason="Quantus is not installed: pip install --no-deps quantus")
    net, finding = SmallNet(0), 2

    def explain_theirs(model: nn.Module, inputs: np.ndarray, targets: np.ndarray, **_: object) -> np.ndarray:
        assert isinstance(model, Probabilities)
        return maps_of(model.net, torch.as_tensor(inputs))[:, finding, None]

    metric = quantus.MPRT(
        similarity_func=quantus.correlation_spearman,
        layer_order="top_down",
        seed=7,
        abs=False,
        normalise=False,
        disable_warnings=True,
        display_progressbar=False,
    )
    numbers = np.full(len(images), finding)
    with torch.random.fork_rng(devices=[]):
        theirs = metric(
            Probabilities(net),
            images.numpy(),
            numbers,
            maps_of(net, images)[:, finding, None],
            channel_first=True,
            explain_func=explain_theirs,
            softmax=False,
        )
        # Its random weights: torch's own start of every layer, each from the seed after the one given.
        fresh = SmallNet(0)
        for layer in (fresh.first, fresh.second, fresh.head.maps):
            torch.manual_seed(8)
            layer.reset_parameters()
    report = cascading_randomisation(net, [fresh], lambda given, inputs: maps_of(given, inputs)[:, [finding]], images)
    stages = {name: np.mean(values) for name, values in theirs.items() if name != "original"}
    assert list(stages) == [f"net.{stage.layer}" for stage in report.stages]
    assert [stage.similarity.rank_correlation for stage in report.stages] == pytest.approx(
        list(stages.values()), abs=1e-5
    )
