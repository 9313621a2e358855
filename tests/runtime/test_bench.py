"""The benchmark measures the bundle it was given, in processes of its own."""

from pathlib import Path

import pytest

from pocketcxr.domain.errors import PocketCxrError
from pocketcxr.domain.study import ViewPosition
from pocketcxr.imaging.dicom_facts import NOTHING_KNOWN
from pocketcxr.imaging.radiograph import Radiograph
from pocketcxr.runtime import bench as benching
from pocketcxr.runtime.bench import Benched, bench, processor_name
from pocketcxr.runtime.bench_process import chest_like
from pocketcxr.runtime.bundle import Bundle
from pocketcxr.runtime.input_gate import check, gate_of


def test_every_engine_is_measured_at_every_number_of_threads(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benching, "NUM_COLD_STARTS", 1)
    monkeypatch.setattr(benching, "find_spec", lambda name: None)
    report = bench(Benched(path=Path(bundle.path), sha256=bundle.digest), [1, 2], seconds=0.05)
    assert [(one.engine, one.threads) for one in report.latencies] == [("onnxruntime", 1), ("onnxruntime", 2)]
    for one in report.latencies:
        assert one.check_ms is None
        assert 0 < one.p50_ms <= one.p95_ms <= one.p99_ms
        assert one.num_runs >= 30
        assert one.peak_mb > 20
    cold = report.cold_start
    assert cold.total_s > cold.import_s + cold.open_s + cold.first_s > 0
    assert report.processor == processor_name() != ""
    assert report.versions["onnxruntime"]


def test_a_bundle_that_cannot_be_opened_is_told(tmp_path: Path) -> None:
    with pytest.raises(PocketCxrError, match="does not exist"):
        bench(Benched(path=tmp_path / "absent.zip", sha256=""), [1], seconds=0.05)


def test_the_check_of_a_bundle_with_an_input_gate_is_measured_whole(
    gated_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(benching, "NUM_COLD_STARTS", 1)
    monkeypatch.setattr(benching, "find_spec", lambda name: None)
    report = bench(Benched(path=Path(gated_bundle.path), sha256=gated_bundle.digest), [1], seconds=0.05)
    (one,) = report.latencies
    assert one.check_ms is not None
    assert one.images_per_second == pytest.approx(1000 / (one.check_ms + one.prepare_ms + one.p50_ms))


def test_the_picture_that_is_timed_passes_the_gate(gated_bundle: Bundle) -> None:
    gate = gate_of(gated_bundle)
    assert gate is not None
    radiograph = Radiograph(chest_like(), "made.png", "png", 8, None, ViewPosition.UNKNOWN)
    assert check(gate, radiograph, NOTHING_KNOWN) == ()
