"""Answers of the API: those of `predict_files`, bit for bit, and refusals with the same codes."""

import base64
import io
import json
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from pydicom import dcmwrite
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from pocketcxr.apps.cli.prediction_output import Answer, as_json
from pocketcxr.apps.web.api_models import PredictAnswer
from pocketcxr.domain.prediction import Refusal
from pocketcxr.phantom.config import PhantomConfig
from pocketcxr.phantom.drawing import request_of
from pocketcxr.phantom.handling import screen_photograph
from pocketcxr.phantom.plan import plan
from pocketcxr.phantom.render import render
from pocketcxr.runtime.bundle import Bundle
from pocketcxr.runtime.pictures import picture
from pocketcxr.runtime.predict import Scored, predict_files
from pocketcxr.runtime.session import Engine

ANY_FILE = {"Content-Type": "application/octet-stream"}


@pytest.fixture(scope="module")
def chest() -> NDArray[np.uint8]:
    """A simulated chest that the gate lets pass."""
    config = PhantomConfig(images=12, size=128, seed=77)
    return np.asarray(render(request_of(config, plan(config)[0])).pixels, dtype=np.uint8)


def _encoded(image: NDArray[np.generic], kind: str) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, kind)
    return file.getvalue()


def _dicom(stored: NDArray[np.uint16], **header: Any) -> bytes:
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.1.1"
    meta.MediaStorageSOPInstanceUID = "1.2.826.0.1.3680043.8.498.1"
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID, dataset.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    dataset.Modality, dataset.SamplesPerPixel, dataset.PhotometricInterpretation = "DX", 1, "MONOCHROME2"
    dataset.Rows, dataset.Columns = stored.shape
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 12, 11, 0
    dataset.PixelData = stored.tobytes()
    for keyword, value in header.items():
        setattr(dataset, keyword, value)
    file = io.BytesIO()
    dcmwrite(file, dataset, enforce_file_format=True)
    return file.getvalue()


def _gray(height: int, width: int) -> NDArray[np.uint8]:
    return np.random.default_rng(height).integers(0, 256, (height, width), dtype=np.uint8)


FILES: dict[str, Callable[[NDArray[np.uint8]], bytes]] = {
    "chest as PNG": lambda chest: _encoded(chest, "PNG"),
    "chest as JPEG": lambda chest: _encoded(chest, "JPEG"),
    "chest as DICOM": lambda chest: _dicom(chest.astype(np.uint16) * 16),
    "chest of 16 bits": lambda chest: _encoded(chest.astype(np.uint16) * 200, "PNG"),
    "chest, larger than its picture": lambda chest: _encoded(np.kron(chest, np.ones((10, 9), np.uint8)), "PNG"),
    "photographed screen": lambda chest: _encoded(
        screen_photograph(np.kron(chest, np.ones((8, 8), np.uint8)), np.random.default_rng(0)), "PNG"
    ),
    "noise": lambda _: _encoded(_gray(90, 70), "PNG"),
    "colours": lambda _: _encoded(np.random.default_rng(1).integers(0, 256, (90, 70, 3), dtype=np.uint8), "PNG"),
    "lateral DICOM": lambda chest: _dicom(chest.astype(np.uint16), ViewPosition="LL"),
    "CT": lambda chest: _dicom(chest.astype(np.uint16), Modality="CT"),
    "tiny": lambda _: _encoded(_gray(12, 9), "PNG"),
    "constant": lambda _: _encoded(np.full((40, 40), 7, np.uint8), "PNG"),
    "nothing": lambda _: b"",
    "text": lambda _: b"no image at all" * 20,
    "GIF": lambda _: _encoded(_gray(40, 40), "GIF"),
    "PNG cut short": lambda _: _encoded(_gray(90, 70), "PNG")[:300],
    "PNG of nothing but its magic": lambda _: b"\x89PNG\r\n\x1a\nxyz",
    "JPEG of nothing but its magic": lambda _: b"\xff\xd8\xffxyz",
    "DICOM of nothing but its magic": lambda _: b"\0" * 128 + b"DICM",
    "PNG bomb": lambda _: _bomb(30_000, 30_000),
    "PNG bomb of few pixels": lambda _: _bomb(64, 64, rows=1 << 26),
}


def _bomb(height: int, width: int, rows: int = 1000) -> bytes:
    """A small PNG file that claims so many pixels, and inflates to so many bytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4) + kind + data + zlib.crc32(kind + data).to_bytes(4)

    header = width.to_bytes(4) + height.to_bytes(4) + bytes([8, 0, 0, 0, 0])
    pixels = zlib.compress(bytes(rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def _local(engine: Engine, data: bytes, path: Path, is_gated: bool) -> Scored | Refusal:
    path.write_bytes(data)
    (answer,) = predict_files(engine, [path], checks_input=is_gated)
    return answer


@pytest.mark.parametrize("is_gated", [True, False], ids=["gated", "not gated"])
@pytest.mark.parametrize("name", FILES)
def test_the_answer_is_that_of_predict_files(
    name: str, is_gated: bool, client: TestClient, engine: Engine, chest: NDArray[np.uint8], tmp_path: Path
) -> None:
    data = FILES[name](chest)
    local = _local(engine, data, tmp_path / "secret-name", is_gated)
    query = {"input_gate": str(is_gated).lower(), "heatmaps": "values", "top": "all"}
    answer = client.post("/predict", content=data, headers=ANY_FILE, params=query)
    if isinstance(local, Refusal):
        assert answer.status_code == 422
        assert answer.json()["code"] == local.code
        assert "findings" not in answer.json()
        return
    assert answer.status_code == 200
    body = answer.json()
    PredictAnswer.model_validate(body)
    assert (body["image"]["height"], body["image"]["width"]) == local.radiograph.image.shape
    assert [warning["code"] for warning in body["warnings"]] == [warning.code for warning in local.warnings]
    for one, score, class_map in zip(body["findings"], local.prediction.scores, local.class_maps, strict=True):
        assert one["finding"] == score.finding
        assert (one["logit"], one["probability"]) == (score.logit, score.probability)
        assert one["decisions"] == [vars(decision) for decision in score.decisions]
        if score.logit is None:
            assert one["heatmap"] is None
        else:
            assert np.array_equal(np.asarray(one["heatmap"]["values"], dtype=np.float32), class_map)


def test_every_kind_of_answer_was_compared(engine: Engine, chest: NDArray[np.uint8], tmp_path: Path) -> None:
    answers = [_local(engine, make(chest), tmp_path / "x", True) for make in FILES.values()]
    refused = {answer.code.value for answer in answers if isinstance(answer, Refusal)}
    assert {"not-a-chest-radiograph", "lateral", "unsupported-modality", "too-large", "corrupt"} <= refused
    scored = [answer for answer in answers if isinstance(answer, Scored)]
    assert len(scored) >= 4
    assert any(answer.warnings for answer in scored)


@pytest.mark.parametrize("name", ["chest as PNG", "chest, larger than its picture"])
def test_pictures_are_those_of_predict(
    name: str, client: TestClient, engine: Engine, chest: NDArray[np.uint8], tmp_path: Path
) -> None:
    data = FILES[name](chest)
    local = _local(engine, data, tmp_path / "x", True)
    assert isinstance(local, Scored)
    answer = client.post("/predict", content=data, headers=ANY_FILE, params={"heatmaps": "png", "top": 1}).json()
    (drawn,) = [one for one in answer["findings"] if one["heatmap"] is not None]
    score = max((one for one in local.prediction.scores if one.logit is not None), key=lambda one: one.logit or 0.0)
    assert drawn["finding"] == score.finding
    file = io.BytesIO()
    picture(local, score).save(file, "PNG")
    assert base64.b64decode(drawn["heatmap"]["png"]) == file.getvalue()


@pytest.mark.parametrize("name", FILES)
def test_no_message_speaks_of_the_servers_files(name: str, client: TestClient, chest: NDArray[np.uint8]) -> None:
    text = client.post("/predict", content=FILES[name](chest), headers=ANY_FILE).text
    for trace in ("/proc", "memfd", "/tmp", "Path(", "--no-input-gate", "--memory-mb", "Traceback"):
        assert trace not in text


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_files_get_the_code_of_predict_files(
    data: st.DataObject, client: TestClient, engine: Engine, chest: NDArray[np.uint8], tmp_path: Path
) -> None:
    whole = FILES[data.draw(st.sampled_from(["chest as PNG", "chest as JPEG", "chest as DICOM"]))](chest)
    damaged = bytearray(whole[: data.draw(st.integers(0, len(whole)), label="length")])
    for place in data.draw(st.lists(st.integers(0, max(len(damaged) - 1, 0)), max_size=4), label="places"):
        if damaged:
            damaged[place] = data.draw(st.integers(0, 255))
    local = _local(engine, bytes(damaged), tmp_path / "x", True)
    answer = client.post("/predict", content=bytes(damaged), headers=ANY_FILE)
    if isinstance(local, Refusal):
        assert (answer.status_code, answer.json()["code"]) == (422, local.code.value)
    else:
        assert answer.status_code == 200
        logits = [one["logit"] for one in answer.json()["findings"]]
        assert logits == [score.logit for score in local.prediction.scores]


def test_the_answer_says_whether_the_gate_was_asked(client: TestClient, chest: NDArray[np.uint8], png: bytes) -> None:
    passed = client.post("/predict", content=FILES["chest as PNG"](chest), headers=ANY_FILE).json()
    skipped = client.post("/predict?input_gate=false", content=png, headers=ANY_FILE).json()
    assert (passed["input_checked"], skipped["input_checked"]) == (True, False)


def test_it_speaks_the_words_of_predict_json(
    client: TestClient, bundle: Bundle, engine: Engine, chest: NDArray[np.uint8], tmp_path: Path
) -> None:
    """Who reads the command's document reads the API's."""
    data = FILES["photographed screen"](chest)
    local = _local(engine, data, tmp_path / "x", True)
    assert isinstance(local, Scored)
    printed = json.loads(as_json(bundle, [Answer(local.prediction, {}, local.warnings, local.is_checked)]))
    (result,) = printed["results"]
    answer = client.post("/predict", content=data, headers=ANY_FILE).json()
    for key in ("version", "notice", "made_by"):
        assert answer[key] == printed[key]
    assert answer["bundle"] == {key: value for key, value in printed["bundle"].items() if key != "path"}
    assert set(answer) - set(printed) == set(result) - {"path"} | {"image"}
    for key in ("status", "input_checked", "findings"):
        assert answer[key] == result[key]


def test_one_operating_point_can_be_asked_for(client: TestClient, png: bytes, bundle: Bundle) -> None:
    query = {"operating_point": "youden", "input_gate": "false"}
    answer = client.post("/predict", content=png, headers=ANY_FILE, params=query).json()
    decided = {one["finding"]: [point["operating_point"] for point in one["decisions"]] for one in answer["findings"]}
    assert decided == {"Effusion": ["youden"], "Nodule": [], "Mass": ["youden"]}
    unknown = client.post("/predict", content=png, headers=ANY_FILE, params={"operating_point": "yuden"})
    assert unknown.status_code == 400
    assert all(name in unknown.json()["message"] for name in bundle.card.criteria)
