"""config -> input-gate.onnx: the input gate's net, learnt from simulated pictures alone, with its limits inside."""

import logging
from pathlib import Path
from typing import Annotated

import numpy as np
import onnx
import torch
from onnx import helper
from pydantic import BaseModel, Field
from torch.nn import functional

from pocketcxr._version import __version__
from pocketcxr.domain.progress import Progress, silent
from pocketcxr.export.onnx import IR_VERSION, OPSET, traced
from pocketcxr.models.gate_net import GateNet
from pocketcxr.recipes.input_gate_pictures import GatePictures, draw_chests, gate_pictures
from pocketcxr.runtime.input_gate import FACTS_KEY, KINDS, GateFacts, open_gate
from pocketcxr.runtime.input_gate_pixels import NET_SIZE

logger = logging.getLogger(__name__)

_STAGE = "learning"
_CHOOSING = 1
"""Added to the seed for the pictures that the least probability of a frontal chest is chosen on."""
_SHIFT_PX = 3


class GateConfig(BaseModel, frozen=True, extra="forbid"):
    """How the gate is made."""

    seed: Annotated[int, Field(ge=0, lt=2**31)] = 20
    num_chests: Annotated[int, Field(ge=10)] = 1000
    num_pictures: Annotated[int, Field(ge=100)] = 10_000
    num_choosing: Annotated[int, Field(ge=100)] = 1600
    """Pictures of other phantoms that `least_frontal` is chosen on."""
    epochs: Annotated[int, Field(ge=1)] = 8
    batch_size: Annotated[int, Field(ge=2)] = 64
    learning_rate: Annotated[float, Field(gt=0)] = 3e-3
    weight_decay: Annotated[float, Field(ge=0)] = 0.02
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    false_refusals: Annotated[float, Field(gt=0, lt=0.5)] = 0.001
    """Of the frontal chests to choose on, the share that may be refused."""
    most_least_frontal: Annotated[float, Field(gt=0, le=0.5)] = 0.01
    """The least probability of a frontal chest is never set higher: real chests are stranger than simulated ones."""
    min_side_px: int = 48
    least_spread: float = 12.0
    most_white_share: float = 0.85
    most_black_share: float = 0.85
    most_coloured_share: float = 0.2
    grid_decades: float = 3.0


def make_gate(config: GateConfig, out: Path, progress: Progress = silent) -> Path:
    """`out`, written: the gate. The same config on the same machine gives the same bytes."""
    pictures = _pictures(config.seed, config.num_pictures, config.num_chests, progress)
    net = learn(config, pictures, progress)
    choosing = _pictures(config.seed + _CHOOSING, config.num_choosing, config.num_choosing // 4, progress)
    facts = GateFacts(
        least_frontal=_least_frontal(config, net, choosing),
        min_side_px=config.min_side_px,
        least_spread=config.least_spread,
        most_white_share=config.most_white_share,
        most_black_share=config.most_black_share,
        most_coloured_share=config.most_coloured_share,
        grid_decades=config.grid_decades,
        made_by=f"pocketcxr {__version__}",
        seed=config.seed,
    )
    data = gate_bytes(net, facts)
    open_gate(data, str(out))
    out.write_bytes(data)
    logger.info("wrote %s, %d bytes, least probability of a frontal chest %.3g", out, len(data), facts.least_frontal)
    return out


def learn(config: GateConfig, pictures: GatePictures, progress: Progress = silent) -> GateNet:
    """A net that tells the pictures' kinds apart, ready to be asked."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        net = GateNet(len(KINDS))
        optimizer = torch.optim.AdamW(net.parameters(), config.learning_rate, weight_decay=config.weight_decay)
        steps_an_epoch = len(pictures.kinds) // config.batch_size
        num_steps = config.epochs * steps_an_epoch
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, config.learning_rate, num_steps)
        kinds = torch.from_numpy(pictures.kinds)
        for step in range(num_steps):
            if step % steps_an_epoch == 0:
                order = torch.randperm(len(kinds))
            place = step % steps_an_epoch * config.batch_size
            batch = order[place : place + config.batch_size]
            images = _jittered(torch.from_numpy(pictures.inputs[batch.numpy()]).float())
            loss = functional.cross_entropy(net(images), kinds[batch], label_smoothing=config.label_smoothing)
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
            schedule.step()
            progress(_STAGE, step + 1, num_steps, {"loss": float(loss.detach())})
    return net.eval()


def gate_bytes(net: GateNet, facts: GateFacts) -> bytes:
    """The net and its facts as ONNX: images [batch, 1, 64, 64] -> logits [batch, kind]."""
    graph = traced(net.eval(), NET_SIZE, ["logits"]).graph
    # Made anew, so that no note of the exporter (paths of this machine among them) goes along.
    for node in graph.node:
        node.ClearField("metadata_props")
        node.ClearField("doc_string")
    for value in (*graph.input, *graph.output):
        value.ClearField("metadata_props")
    clean = helper.make_graph(graph.node, "input-gate", graph.input, graph.output, graph.initializer)
    model = helper.make_model(clean, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    model.producer_name, model.producer_version = "pocketcxr", __version__
    helper.set_model_props(model, {FACTS_KEY: facts.model_dump_json()})
    onnx.checker.check_model(model, full_check=True)
    data: bytes = model.SerializeToString(deterministic=True)
    return data


def _pictures(seed: int, num: int, num_chests: int, progress: Progress) -> GatePictures:
    chests = draw_chests(num_chests, seed, progress=progress)
    return gate_pictures(num, chests, np.random.default_rng(seed), progress)


def _jittered(images: torch.Tensor) -> torch.Tensor:
    """The batch with other contrast and a little out of place, so that no picture is seen twice."""
    down, across = torch.randint(-_SHIFT_PX, _SHIFT_PX + 1, (2,)).tolist()
    gain = 1 + 0.15 * torch.randn(len(images), 1, 1, 1)
    shift = 0.15 * torch.randn(len(images), 1, 1, 1)
    moved = torch.roll(images, (down, across), dims=(2, 3))
    return moved * gain + shift + 0.05 * torch.randn_like(images)


@torch.no_grad()
def _least_frontal(config: GateConfig, net: GateNet, choosing: GatePictures) -> float:
    frontal = torch.from_numpy(choosing.inputs[choosing.kinds == 0]).float()
    shares = torch.softmax(net(frontal), dim=1)[:, 0].numpy()
    return float(min(np.quantile(shares, config.false_refusals), config.most_least_frontal))
