"""saliency by name: what every method keeps, whatever it computes."""

import sys
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from pocketcxr.domain.errors import ConfigError, EmptyCohortError, MissingExtraError, UnknownNameError, UsageError
from pocketcxr.explain.methods import CLASS_AGNOSTIC, METHODS, Method, MethodOptions, require_method, saliency
from pocketcxr.models.build import build
from pocketcxr.models.config import NetConfig
from pocketcxr.models.heads import ClassMapHead
from pocketcxr.models.outputs import ModelOutput, Net

NUM_FINDINGS, SIZE = 3, 32
FEW = MethodOptions(steps=3, noise_samples=3, masks=12, window_share=0.5)


class SmallNet(Net):
    """Two convolutions with a batch norm and an in-place activation between, under the class-map head."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv2d(1, 6, 3, stride=2, padding=1), nn.BatchNorm2d(6)
        self.bent, self.second = nn.Hardswish(inplace=True), nn.Conv2d(6, 8, 3, stride=2, padding=1)
        self.drop, self.head = nn.Dropout(0.5), ClassMapHead(8, NUM_FINDINGS)

    def forward(self, images: Tensor) -> ModelOutput:
        features = self.second(self.bent(self.norm(self.first(images))))
        output: ModelOutput = self.head(self.drop(features))
        return output

    def tap(self, stride: int) -> nn.Module:
        if stride not in {2, 4}:
            raise ConfigError(f"no stride {stride}; choose 2 or 4")
        return self.norm if stride == 2 else self.second


def net_for(method: Method) -> Net:
    """A small net that can have the method, in a mixture of modes and with one frozen parameter and one gradient."""
    if method == "attention-rollout":
        net: Net = build(NetConfig(name="vit_tiny_patch16_224"), NUM_FINDINGS)
    else:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            net = SmallNet()
    with torch.no_grad():
        net.get_submodule("head.maps").get_parameter("weight").mul_(100)  # a net with opinions
    parameters = list(net.parameters())
    parameters[0].requires_grad_(False)
    parameters[1].grad = torch.full_like(parameters[1], 7.0)
    next(module for module in net.modules() if isinstance(module, nn.Dropout)).eval()
    return net


@pytest.fixture
def images() -> Tensor:
    return torch.randn(3, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(1))


def state_of(net: Net) -> dict[str, object]:
    """All that a method might leave changed."""
    return {
        "modes": [module.training for module in net.modules()],
        "hooks": [
            (len(module._forward_hooks), len(module._forward_pre_hooks), len(module._backward_hooks))
            for module in net.modules()
        ],
        "switches": [vars(module).get("fused_attn") for module in net.modules()],
        "trained": [parameter.requires_grad for parameter in net.parameters()],
        "gradients": [None if p.grad is None else (id(p.grad), p.grad.tolist()) for p in net.parameters()],
        "numbers": [(id(tensor), tensor.tolist()) for tensor in net.state_dict(keep_vars=True).values()],
        "random": torch.get_rng_state().tolist(),
        "numpy": np.random.get_state()[1].tolist(),  # noqa: NPY002 - the global state is what is watched
    }


@pytest.mark.parametrize("method", METHODS)
def test_the_net_the_images_and_the_generators_are_left_as_found(method: Method, images: Tensor) -> None:
    net, given_images = net_for(method), images.clone()
    before = state_of(net)
    saliency(net, images, [0, 2], method, FEW)
    assert state_of(net) == before
    assert torch.equal(images, given_images)
    assert images.grad is None
    assert torch.is_grad_enabled()


class BreakingError(Exception):
    pass


@pytest.mark.parametrize("method", METHODS)
def test_everything_is_left_as_found_when_the_net_breaks_midway(method: Method, images: Tensor) -> None:
    net = net_for(method)
    calls: list[int] = []

    def break_late(_module: nn.Module, _arguments: object, _output: object) -> None:
        calls.append(1)
        if len(calls) >= (1 if method in {"one-pass", "attention-rollout", *CAMS} else 2):
            raise BreakingError

    net.get_submodule("head").register_forward_hook(break_late)
    before = state_of(net)
    with pytest.raises(BreakingError):
        saliency(net, images, [0], method, FEW)
    assert state_of(net) == before


CAMS: tuple[Method, ...] = ("grad-cam", "grad-cam++", "layer-cam", "hires-cam", "eigen-cam")


@pytest.mark.parametrize("layer", [4, "norm"])
def test_hooks_of_a_named_layer_are_gone_when_the_net_breaks(layer: int | str, images: Tensor) -> None:
    net = net_for("grad-cam")

    def break_now(_module: nn.Module, _arguments: object, _output: object) -> None:
        raise IndexError("pytorch-grad-cam would swallow this one")

    net.get_submodule("head").register_forward_hook(break_now)
    before = state_of(net)
    for method in (*CAMS, "score-cam"):
        with pytest.raises(IndexError, match="swallow"):
            saliency(net, images, [0], method, MethodOptions(layer=layer))
    assert state_of(net) == before


@pytest.mark.parametrize("method", METHODS)
def test_every_pair_of_image_and_finding_has_its_own_map_the_same_alone(method: Method, images: Tensor) -> None:
    """pytorch-grad-cam's issue 328: fewer targets than images must not drop images."""
    net = net_for(method)
    together = saliency(net, images, [2, 0], method, FEW)
    assert together.shape[:2] == (3, 2)
    assert together.dtype == np.float32
    for row in range(3):
        for column, finding in enumerate((2, 0)):
            alone = saliency(net, images[row : row + 1], [finding], method, FEW)
            assert alone.shape == (1, 1, *together.shape[2:])
            np.testing.assert_allclose(
                alone[0, 0], together[row, column], rtol=1e-4, atol=1e-5 * np.abs(together).max()
            )
    assert not np.allclose(together[0, 0], together[1, 0], rtol=1e-3, atol=0)
    is_repeated = np.array_equal(together[:, 0], together[:, 1])
    assert is_repeated == (method in CLASS_AGNOSTIC)


@pytest.mark.parametrize("method", METHODS)
def test_permuting_images_permutes_maps(method: Method, images: Tensor) -> None:
    net, order = net_for(method), [2, 0, 1]
    maps = saliency(net, images, [1], method, FEW)
    permuted = saliency(net, images[order], [1], method, FEW)
    np.testing.assert_allclose(permuted, maps[order], rtol=1e-4, atol=1e-5 * np.abs(maps).max())


@pytest.mark.parametrize("method", METHODS)
def test_batch_size_changes_no_map(method: Method, images: Tensor) -> None:
    net = net_for(method)
    maps = [saliency(net, images, [1], method, FEW.model_copy(update={"batch_size": size})) for size in (2, 5, 64)]
    for other in maps[1:]:
        np.testing.assert_allclose(other, maps[0], rtol=1e-4, atol=1e-5 * np.abs(maps[0]).max())


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize("method", METHODS)
def test_maps_do_not_depend_on_the_callers_gradient_mode(
    method: Method, context: Callable[[], torch.no_grad], images: Tensor
) -> None:
    net = net_for(method)
    expected = saliency(net, images, [1], method, FEW)
    with context():
        np.testing.assert_array_equal(saliency(net, images * 1, [1], method, FEW), expected)


@settings(max_examples=8, deadline=None)
@given(scale=st.floats(0.01, 100), method=st.sampled_from(["grad-cam", "hires-cam", "layer-cam"]))
def test_magnitude_is_kept(scale: float, method: Method) -> None:
    """A head that speaks louder has louder maps: nothing is stretched to 0..1."""
    net = net_for(method)
    images = torch.randn(2, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(1))
    quiet = saliency(net, images, [0], method)
    with torch.no_grad():
        net.get_submodule("head.maps").get_parameter("weight").mul_(scale)
    np.testing.assert_allclose(saliency(net, images, [0], method), quiet * scale, rtol=1e-4, atol=1e-7 * scale)


@pytest.mark.parametrize("method", METHODS)
def test_a_finding_that_no_output_has_is_refused(method: Method, images: Tensor) -> None:
    net = net_for(method)
    for wrong in (3, -1):
        with pytest.raises(UnknownNameError, match=f"finding number {wrong} is unknown; this model has 0 to 2"):
            saliency(net, images, [0, wrong], method, FEW)
    with pytest.raises(UsageError, match="no finding to explain"):
        saliency(net, images, [], method, FEW)


def test_an_unknown_method_lists_those_there_are(images: Tensor) -> None:
    with pytest.raises(UnknownNameError, match="method 'gradcam' is unknown; did you mean 'grad-cam'"):
        saliency(net_for("grad-cam"), images, [0], "gradcam")  # type: ignore[arg-type]


def test_no_image_is_refused(images: Tensor) -> None:
    with pytest.raises(EmptyCohortError, match="no image to explain"):
        saliency(net_for("grad-cam"), images[:0], [0], "grad-cam")


@pytest.mark.parametrize(
    ("method", "module"), [("smooth-grad", "captum.attr"), ("layer-cam", "pytorch_grad_cam"), ("one-pass", None)]
)
def test_a_library_that_is_missing_is_told_before_anything_is_computed(
    method: Method, module: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("captum.attr", "captum", "pytorch_grad_cam"):
        monkeypatch.setitem(sys.modules, name, None)
    if module is None:
        require_method(method)
    else:
        with pytest.raises(MissingExtraError, match=r"pocketcxr\[explain\]"):
            require_method(method)
