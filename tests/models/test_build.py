"""build: names, seeds, first weights."""

from pathlib import Path
from typing import get_args

import pytest
import timm
import torch
from huggingface_hub import constants
from safetensors.torch import save_file
from torch import Tensor

from pocketcxr.domain.errors import CheckpointError, ConfigError, UnknownNameError
from pocketcxr.models.build import build
from pocketcxr.models.config import NetConfig, Pooling
from pocketcxr.models.outputs import Net, evaluating
from pocketcxr.models.weights import head_size

LITE0 = "tf_efficientnet_lite0"
# The mean and the spread of the reference implementation's features (PyPI efficientnet_lite_pytorch 0.1.0, the same
# weights, three equal channels) on the ramp below; ours agreed with it to 7e-6 at every value.
LITE0_RAMP = (0.0637719, 0.3594103)


def logits_of(net: Net, images: Tensor) -> Tensor:
    with evaluating(net), torch.no_grad():
        return net(images).logits


@pytest.mark.parametrize(
    ("kind", "name", "hint"),
    [
        ("student", "eeea-net-c3", "'eeea-net-c"),
        ("teacher", "densenet112", "'densenet121'"),
        ("student", "qqqqqqqq", "available: convnext_atto"),
    ],
)
def test_an_unknown_name_is_met_with_near_ones(kind: str, name: str, hint: str) -> None:
    with pytest.raises(UnknownNameError) as caught:
        build(NetConfig(name=name), 2, kind=kind)
    message = str(caught.value)
    assert message.startswith(f"{kind} '{name}' is unknown")
    assert hint in message
    assert "any other timm model" in message
    assert len(message) < 1500


def test_weights_are_a_function_of_the_seed_and_the_global_generator_is_left_alone(images: Tensor) -> None:
    config = NetConfig(name="eeea-net-c2-lite-map")
    before = torch.random.get_rng_state()
    first, again, other = build(config, 2), build(config, 2), build(config, 2, seed=1)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(logits_of(first, images), logits_of(again, images))
    assert not torch.equal(logits_of(first, images), logits_of(other, images))


def test_a_built_net_is_in_training_mode() -> None:
    assert all(module.training for module in build(NetConfig(name="resnet10t"), 2).modules())


def test_imagenet_weights_of_lite0_come_from_the_installed_package() -> None:
    net = build(NetConfig(name=LITE0, weights="imagenet"), 2)
    ramp = torch.linspace(-1, 1, 64 * 64).reshape(1, 1, 64, 64)
    with evaluating(net), torch.no_grad():
        features = net(ramp).features
    assert (float(features.mean()), float(features.std())) == pytest.approx(LITE0_RAMP, abs=1e-5)


def test_a_pretrained_colour_stem_is_summed_for_one_channel(images: Tensor) -> None:
    gray, rgb = (build(NetConfig(name=LITE0, weights="imagenet"), 2, channels) for channels in (1, 3))
    with evaluating(gray), evaluating(rgb), torch.no_grad():
        torch.testing.assert_close(
            gray(images).features, rgb(images.expand(-1, 3, -1, -1)).features, atol=1e-4, rtol=1e-4
        )


def test_our_own_nets_have_no_imagenet_weights() -> None:
    with pytest.raises(ConfigError, match=r"net\.weights: there are no ImageNet weights of eeea-net-c2"):
        build(NetConfig(weights="imagenet"), 2)


def test_imagenet_weights_that_cannot_be_fetched_are_a_clear_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(
        ConfigError, match=r"net\.weights: the ImageNet weights of resnet10t could not be fetched"
    ) as caught:
        build(NetConfig(name="resnet10t", weights="imagenet"), 2)
    for way in (
        "net.weights=FILE.safetensors",
        f"net.name={LITE0}",
        "extra lite0",
        "net.weights=none",
        "run or bundle",
    ):
        assert way in str(caught.value)


@pytest.mark.parametrize("name", ["eeea-net-c2-lite-map", "resnet10t", "convnext_atto"])
def test_a_file_of_ours_gives_the_same_net_back(name: str, tmp_path: Path, images: Tensor) -> None:
    saved = build(NetConfig(name=name), 2, seed=3)
    save_file(saved.state_dict(), tmp_path / "best.safetensors")
    loaded = build(NetConfig(name=name, weights=tmp_path / "best.safetensors"), 2, seed=4)
    assert torch.equal(logits_of(saved, images), logits_of(loaded, images))


def test_a_file_of_ours_with_other_findings_gives_all_but_the_head(tmp_path: Path, images: Tensor) -> None:
    saved = build(NetConfig(name="eeea-net-c2-lite-map"), 2, seed=3)
    save_file(saved.state_dict(), tmp_path / "best.safetensors")
    loaded = build(NetConfig(name="eeea-net-c2-lite-map", weights=tmp_path / "best.safetensors"), 5)
    with evaluating(saved), evaluating(loaded), torch.no_grad():
        assert torch.equal(saved(images).features, loaded(images).features)
        assert loaded(images).logits.shape == (3, 5)


def test_a_file_of_another_net_is_refused(tmp_path: Path) -> None:
    save_file(build(NetConfig(name="eeea-net-c2-lite-map"), 2).state_dict(), tmp_path / "lite.safetensors")
    with pytest.raises(CheckpointError, match=r"lite\.safetensors: blocks\.4.* is missing or of another shape"):
        build(NetConfig(name="eeea-net-c2-map", weights=tmp_path / "lite.safetensors"), 2)


def test_a_timm_file_starts_the_trunk(tmp_path: Path) -> None:
    published = timm.create_model("resnet10t", num_classes=1000)
    save_file(published.state_dict(), tmp_path / "model.safetensors")
    net = build(NetConfig(name="resnet10t", weights=tmp_path / "model.safetensors"), 2, in_channels=3)
    ours = net.state_dict()
    assert all(torch.equal(ours[f"trunk.{name}"], t) for name, t in published.state_dict().items() if name[:3] != "fc.")


@pytest.mark.parametrize(
    ("name", "complaint"), [("w.pth", "is no .safetensors file"), ("w.safetensors", "cannot be read")]
)
def test_a_weights_file_that_is_none_is_refused(name: str, complaint: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"nothing")
    for net in ("eeea-net-c2", "resnet10t"):
        with pytest.raises(ConfigError, match=complaint):
            build(NetConfig(name=net, weights=tmp_path / name), 2)


def test_a_timm_file_of_another_model_is_refused(tmp_path: Path) -> None:
    save_file(timm.create_model("resnet10t", num_classes=10).state_dict(), tmp_path / "model.safetensors")
    with pytest.raises(ConfigError, match=r"model\.safetensors does not fit resnet18"):
        build(NetConfig(name="resnet18", weights=tmp_path / "model.safetensors"), 2)


@pytest.mark.parametrize("name", ["eeea-net-c2", "resnet10t"])
def test_a_file_cut_short_is_refused_and_said_to_be(name: str, tmp_path: Path) -> None:
    path = tmp_path / "cut.safetensors"
    save_file({"conv1.weight": torch.zeros(100)}, path)
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(ConfigError, match=r"cut\.safetensors cannot be read .* copy the file again"):
        build(NetConfig(name=name, weights=path), 2)


def test_a_head_says_how_many_findings_it_has(tmp_path: Path) -> None:
    for number, name in enumerate(("eeea-net-c2", "eeea-net-c2-lite-map", "resnet10t"), start=2):
        save_file(build(NetConfig(name=name), number).state_dict(), tmp_path / "ours.safetensors")
        assert head_size(tmp_path / "ours.safetensors") == number
    save_file(timm.create_model("resnet10t").state_dict(), tmp_path / "timm.safetensors")
    assert head_size(tmp_path / "timm.safetensors") is None


def test_stride_16_where_a_model_cannot_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"net\.output_stride: timm's densenet121 cannot run at stride 16"):
        build(NetConfig(name="densenet121", output_stride=16), 2)


def test_a_config_written_before_pooling_existed_means_the_mean() -> None:
    config = NetConfig.model_validate_json(
        '{"name": "resnet10t", "output_stride": 32, "weights": "none", "drop_rate": 0}'
    )
    assert config.pooling == "mean"
    assert {name for name in build(config, 2).state_dict() if name.startswith("head.")} == {
        "head.maps.weight",
        "head.maps.bias",
    }


def test_the_paper_head_has_no_other_pooling() -> None:
    with pytest.raises(ConfigError, match=r"net\.pooling: eeea-net-c2 has the paper's head"):
        build(NetConfig(pooling="attention"), 2)


@pytest.mark.parametrize("pooling", ["mean", "log-sum-exp", "attention"])
def test_a_file_keeps_its_pooling_and_starts_a_net_of_another(pooling: Pooling, tmp_path: Path, images: Tensor) -> None:
    """What every pooling has, the evidence, is taken over; attention starts even."""
    saved = build(NetConfig(name="test_efficientnet", pooling=pooling), 2, seed=3)
    save_file(saved.state_dict(), tmp_path / "best.safetensors")
    config = NetConfig(name="test_efficientnet", pooling=pooling, weights=tmp_path / "best.safetensors")
    assert torch.equal(logits_of(saved, images), logits_of(build(config, 2), images))
    names = ("head.maps.weight", "head.maps.bias")
    for other in ("mean", "log-sum-exp", "attention"):
        started = build(config.model_copy(update={"pooling": other}), 2)
        assert all(torch.equal(started.state_dict()[name], saved.state_dict()[name]) for name in names)


def test_nets_that_pool_differently_have_different_states() -> None:
    """Caches of a teacher's answers are named by a digest of its state."""
    states = [build(NetConfig(name="test_efficientnet", pooling=one), 2).state_dict() for one in get_args(Pooling)]
    assert len({tuple(state) for state in states}) == len(states)
