"""Device, precision, seeds and Ctrl-C."""

import signal
import threading

import pytest
import torch

from pocketcxr.domain.errors import ConfigError
from pocketcxr.train.devices import flushing_denormals, pick_device, pick_precision, seeded
from pocketcxr.train.interrupt import interruptible


def test_a_missing_gpu_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert pick_device("auto").type == pick_device("cpu").type == "cpu"
    with pytest.raises(ConfigError, match="device: auto or cpu"):
        pick_device("cuda")


def test_a_gpu_is_taken_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert pick_device("auto").type == pick_device("cuda").type == "cuda"
    assert pick_device("cpu").type == "cpu"


def test_bf16_is_chosen_only_where_the_device_computes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert pick_precision("auto", torch.device("cpu")) == "32-true"
    assert pick_precision("bf16", torch.device("cpu")) == "bf16-mixed"
    for supported, chosen in ((True, "bf16-mixed"), (False, "32-true")):
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation, s=supported: s)
        assert pick_precision("auto", torch.device("cuda")) == chosen
        assert pick_precision("fp32", torch.device("cuda")) == "32-true"


def test_fp16_needs_a_gpu() -> None:
    assert pick_precision("fp16", torch.device("cuda")) == "16-mixed"
    with pytest.raises(ConfigError, match="auto, fp32 or bf16"):
        pick_precision("fp16", torch.device("cpu"))


def test_seeded_numbers_follow_from_the_seed_and_leave_no_trace() -> None:
    before = torch.get_rng_state()
    drawn = []
    for numbers in ((1, 2), (1, 2), (1, 3)):
        with seeded(*numbers):
            drawn.append(torch.rand(4))
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])
    assert torch.equal(torch.get_rng_state(), before)


def test_denormals_count_as_zero_inside_only() -> None:
    tiny = torch.tensor([1e-40])
    with flushing_denormals():
        assert (tiny * 0.5).item() == 0
    assert (tiny * 0.5).item() > 0


def test_the_first_ctrl_c_waits_and_the_second_does_not() -> None:
    before = signal.getsignal(signal.SIGINT)
    with interruptible() as interrupt:
        signal.raise_signal(signal.SIGINT)
        assert interrupt.is_requested
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_other_threads_leave_signals_alone() -> None:
    seen = []

    def work() -> None:
        with interruptible() as interrupt:
            seen.append((interrupt.is_requested, signal.getsignal(signal.SIGINT)))

    thread = threading.Thread(target=work)
    before = signal.getsignal(signal.SIGINT)
    thread.start()
    thread.join()
    assert seen == [(False, before)]
