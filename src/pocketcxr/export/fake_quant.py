"""A net that rounds as its INT8 build will, while it can still learn: fake quantisation for fine-tuning.

Weights are rounded per output channel to the 129 steps of quantize.py, with batch norm folded into them by its running
statistics; activations per tensor to 256 steps between their smallest and largest value in the batch. Rounding passes
gradients on as if it were not there (Bengio et al. 2013, arXiv 1308.3432); the width of a step has its true gradient
(as in LSQ, Esser et al. 2020, arXiv 1902.08153), so that a net can learn to do without an outlier that costs all other
values their resolution.
"""

from collections.abc import Callable, Iterator, Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.fx import Graph, GraphModule, Node
from torch.nn import functional

from pocketcxr.models.outputs import Net, evaluating

WEIGHT_STEPS = 64
"""On either side of zero: onnxruntime's reduced range of signed 8 bits."""
ACTIVATION_STEPS = 255
TRACED_BATCH = 2
"""torch.export takes a batch of 1 for a constant."""

_aten = torch.ops.aten
_NORM = _aten._native_batch_norm_legit_no_training.default
_CONVOLUTION = _aten.conv2d.default
_LAYERS = {_CONVOLUTION, _aten.linear.default}
"""They have weights of their own."""
_WEIGHTED = _LAYERS | {_aten.matmul.default, _aten.bmm.default, _aten.mm.default}
_CLIPS = {_aten.relu.default, _aten.hardtanh.default, _aten.clamp.default}
"""They and the layer before are rounded once, together."""
_QUANTISED = (
    _WEIGHTED
    | _CLIPS
    | {
        _aten.add.Tensor,
        _aten.avg_pool2d.default,
        _aten.cat.default,
        _aten.max_pool2d.default,
        _aten.mul.Tensor,
        _aten.sigmoid.default,
        _aten.softmax.int,
    }
)
"""What onnxruntime computes in 8 bits."""


def fake_quantised(net: Net, size: int) -> GraphModule:
    """`net` on images of `size` pixels as a function from [b, 1, size, size] to its ModelOutput, rounding as INT8 does.

    It shares the net's weights: what is learnt through it the net has learnt. What makes logits and class maps stays
    in float, as in quantize.py. Batch norm and drop-out are as in evaluation. Batches have two images at least.
    """
    device = next(net.parameters()).device
    with evaluating(net):
        program = torch.export.export(
            net,
            (torch.zeros(TRACED_BATCH, 1, size, size, device=device),),
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            strict=False,
        )
    # Without any table it only takes operations in place apart, after which every value has one name.
    module = program.run_decompositions({}).module()
    assert isinstance(module, GraphModule)
    graph = module.graph
    for node in list(graph.nodes):
        if node.target is _NORM:
            _replace_norm(graph, node)
    head = _head(graph)
    values = dict.fromkeys(value for node in _quantised(graph, head) for value in _activations(node))
    for node in list(_quantised(graph, head)):
        if node.target in _LAYERS:
            weights = node.args[1]
            assert isinstance(weights, Node)
            _wrap(graph, weights, rounded_weights, [node])
    for value in values:
        _wrap(graph, value, rounded_activations, list(value.users))
    graph.lint()
    module.recompile()
    return module


def rounded_weights(weights: Float[Tensor, "out ..."]) -> Float[Tensor, "out ..."]:
    """Weights as an INT8 layer has them: symmetric, each output channel with a step of its own."""
    largest = weights.abs().flatten(1).amax(dim=1).reshape(-1, *[1] * (weights.ndim - 1))
    step = (largest / WEIGHT_STEPS).clamp(min=torch.finfo(weights.dtype).tiny)
    return _round(weights / step) * step


def rounded_activations(values: Float[Tensor, "*any"]) -> Float[Tensor, "*any"]:
    """Values as an INT8 layer reads them: zero is exact, the ends of the range are those of the batch."""
    low, high = values.amin().clamp(max=0), values.amax().clamp(min=0)
    step = ((high - low) / ACTIVATION_STEPS).clamp(min=torch.finfo(values.dtype).tiny)
    zero = torch.round(-low / step).detach()
    return ((_round(values / step) + zero).clamp(0, ACTIVATION_STEPS) - zero) * step


def _round(values: Tensor) -> Tensor:
    """Whole numbers, with the gradient of `values`."""
    return values + (torch.round(values) - values).detach()


def folded_weights(weights: Tensor, scale: Tensor, variance: Tensor, epsilon: float) -> Tensor:
    """A convolution's weights times what batch norm multiplies its channels by."""
    return weights * (scale * torch.rsqrt(variance + epsilon)).reshape(-1, *[1] * (weights.ndim - 1))


def folded_bias(bias: Tensor | None, norm: tuple[Tensor, Tensor, Tensor, Tensor], epsilon: float) -> Tensor:
    """What batch norm (scale, offset, mean, variance) and a convolution's bias add together."""
    scale, offset, mean, variance = norm
    return offset + ((0 if bias is None else bias) - mean) * scale * torch.rsqrt(variance + epsilon)


def _replace_norm(graph: Graph, norm: Node) -> None:
    """Batch norm by its running statistics: folded into the convolution it follows alone, computed as it is elsewhere.

    The operator that torch.export leaves has no gradient.
    """
    values, scale, offset, mean, variance, _, epsilon = norm.args
    (result,) = norm.users  # the first of the operator's three results
    assert isinstance(values, Node)
    with graph.inserting_before(norm):
        if values.target is _CONVOLUTION and len(values.users) == 1:
            inputs, weights, *rest = values.args
            bias = rest.pop(0) if rest else None
            new_weights = graph.call_function(folded_weights, (weights, scale, variance, epsilon))
            new_bias = graph.call_function(folded_bias, (bias, (scale, offset, mean, variance), epsilon))
            new = graph.call_function(_CONVOLUTION, (inputs, new_weights, new_bias, *rest), values.kwargs)
        else:
            arguments = (values, mean, variance, scale, offset, False, 0.0, epsilon)
            new = graph.call_function(functional.batch_norm, arguments)
    new.meta = dict(result.meta)
    result.replace_all_uses_with(new)
    graph.erase_node(result)
    graph.erase_node(norm)
    if not values.users:
        graph.erase_node(values)


def _head(graph: Graph) -> set[Node]:
    """The nodes between logits and class maps and the weights before them, those included."""
    (output,) = (node for node in graph.nodes if node.op == "output")
    logits, class_maps, _ = output.all_input_nodes
    found: set[Node] = set()
    pending = [logits, class_maps]
    while pending:
        node = pending.pop()
        if node in found or node.op != "call_function":
            continue
        found.add(node)
        if node.target not in _WEIGHTED:
            pending += node.all_input_nodes
    return found


def _quantised(graph: Graph, head: set[Node]) -> Iterator[Node]:
    """What INT8 computes in 8 bits, in order."""
    return (node for node in graph.nodes if node.target in _QUANTISED and node not in head)


def _activations(node: Node) -> Iterator[Node]:
    """The values that the node reads and the one it makes, of those that are rounded: no weights, no whole numbers."""
    inputs = [node.args[0]] if node.target in _LAYERS else node.all_input_nodes
    for value in (*inputs, node):
        assert isinstance(value, Node)
        is_clipped = {user.target for user in value.users} <= _CLIPS and value.target in _QUANTISED
        if value.op != "get_attr" and not is_clipped and _is_float(value):
            yield value


def _is_float(value: Node) -> bool:
    held = value.meta.get("val")
    return isinstance(held, Tensor) and held.is_floating_point()


def _wrap(graph: Graph, value: Node, function: Callable[[Tensor], Tensor], users: Sequence[Node]) -> None:
    """Let `users` read function(value)."""
    with graph.inserting_after(value):
        rounded = graph.call_function(function, (value,))
    for user in users:
        user.replace_input_with(value, rounded)
