"""An ONNX export is served as its run is, without PyTorch."""

import json
import shutil
import subprocess
import sys
import time

import httpx2
import numpy as np
import pytest

from conftest import LABELLED
from fucina import using
from fucina.errors import ModelError, RunError
from fucina.export.onnx import write
from fucina.models.sums import write_sums
from fucina.opening import load_model

from .conftest import RULES, served

TEXTS = [text for text, _ in LABELLED[:12]]


@pytest.fixture(scope="module")
def exports(runs, tmp_path_factory):
    """Name to an export of a run that labels and of one that marks."""
    folder = tmp_path_factory.mktemp("exports")
    for name in ("kind", "cose"):
        write(load_model(runs[name], workers=1)[1], folder / f"{name}-onnx")
    return {name: folder / f"{name}-onnx" for name in ("kind", "cose")}


@pytest.fixture(scope="module")
def exported(exports):
    """The address of a server of both."""
    with served(list(exports.values()), route={"threshold": 0}) as (url, _):
        yield url


@pytest.fixture
def copied(exports, tmp_path):
    """A copy of the classifier, to be changed."""
    return shutil.copytree(exports["kind"], tmp_path / "kind-onnx")


def test_its_labels_are_those_of_the_run(exported, runs, web):
    alone = using.predict(runs["kind"], TEXTS)
    answers = web(f"{exported}/predict/batch", {"texts": TEXTS}).json()["answers"]
    assert [one["answer"] for one in answers] == alone.answers
    assert {one["model"] for one in answers} == {"kind"}
    own = [[one["probabilities"][label] for label in alone.labels] for one in answers]
    assert np.allclose(own, alone.probabilities, atol=1e-4)
    single = web(f"{exported}/predict", {"model": "kind", "text": TEXTS[3]}).json()
    assert (single["route"], single["answer"]) == ("model", alone.answers[3])
    assert single["confidence"] == pytest.approx(alone.confidences[3], abs=1e-4)


def test_its_spans_are_those_of_the_run(exported, runs, web):
    text = "non arriva il schermo nero"
    alone = using.predict(runs["cose"], [text]).answers[0]
    reply = web(f"{exported}/predict", {"model": "cose", "text": text}).json()
    found = [(span["start"], span["end"], span["label"]) for span in reply["answer"]]
    assert found == [(span.start, span.end, span.label) for span in alone]
    assert found


def test_what_an_export_cannot_do_is_told(exported, web):
    known = {one["id"]: one["fucina"] for one in web(f"{exported}/v1/models").json()["data"]}
    assert known["kind"]["engine"] == "onnx"
    assert known["cose"]["answers"] == "spans"
    for place, body in (
        ("explain", {"text": "il pacco"}), ("v1/embeddings", {"input": "il pacco", "model": "kind"})
    ):  # fmt: skip
        reply = web(f"{exported}/{place}", body)
        assert reply.status_code == 400
        assert "kind" in reply.json()["error"]["message"]
        assert reply.json()["error"]["param"] == "model"


def test_rules_in_the_folder_answer_under_the_threshold_of_the_export(copied, web):
    facts = json.loads((copied / "fucina.json").read_text("utf-8"))
    (copied / "fucina.json").write_text(json.dumps(facts | {"threshold": 1.0}), "utf-8")
    (copied / "rules.yaml").write_text(RULES, encoding="utf-8")
    write_sums(copied)
    with served([copied]) as (url, _):
        reply = web(f"{url}/predict", {"text": "dove sta il pacco"}).json()
    assert (reply["answer"], reply["route"], reply["reason"]) == ("ordine", "rules", "unsure")
    assert reply["reply"] == "Il pacco è in viaggio."
    with served([copied], route={"threshold": 0}) as (url, _):
        assert web(f"{url}/predict", {"text": "boh"}).json()["route"] == "model"


def test_what_is_no_whole_export_is_refused(copied):
    graph = (copied / "model.onnx").read_bytes()
    (copied / "model.onnx").write_bytes(graph[:-100])
    with pytest.raises(ModelError, match=r"damaged: model\.onnx"), served([copied]):
        pass
    (copied / "model.onnx").write_bytes(graph)
    (copied / "weights.pkl").write_bytes(b"x")
    with pytest.raises(RunError, match="is a pickle"), served([copied]):
        pass
    (copied / "weights.pkl").unlink()
    (copied / "fucina.json").unlink()
    with pytest.raises(ModelError, match="is no ONNX export"), served([copied]):
        pass


def test_a_run_and_its_export_are_told_apart(exports, runs, web, tmp_path):
    with served([runs["kind"], exports["kind"]], route={"threshold": 0}) as (url, _):
        names = [one["id"] for one in web(f"{url}/v1/models").json()["data"]]
        assert names == [f"kind/{runs['kind'].name}", "kind/kind-onnx"]
        asked = [web(f"{url}/predict", {"model": name, "text": TEXTS[0]}).json() for name in names]
        assert asked[0]["answer"] == asked[1]["answer"]
    other = shutil.copytree(exports["kind"], tmp_path / "kind-onnx")
    with pytest.raises(RunError, match="two models are called"), served([exports["kind"], other]):
        pass


def test_the_command_serves_it_without_pytorch(exports, tmp_path):
    words = ["serve", str(exports["kind"]), "port=0", "route.threshold=0"]
    process = subprocess.Popen(
        [sys.executable, "-X", "importtime", "-m", "fucina", *words],
        stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=tmp_path,
    )  # fmt: skip
    told = []
    try:
        while not told or (told[-1] and "http://" not in told[-1]):
            told.append(process.stderr.readline())
        url = "http://" + told[-1].split("http://")[1].split()[0]
        until, reply = time.monotonic() + 30, None
        while reply is None and time.monotonic() < until:
            try:
                reply = httpx2.post(f"{url}/predict", json={"text": TEXTS[0]})
            except httpx2.TransportError:
                time.sleep(0.05)
        assert reply.json()["route"] == "model"
    finally:
        process.terminate()
        told += process.communicate(timeout=30)[1].splitlines()
    loaded = {line.rsplit("|", 1)[1].strip() for line in told if line.startswith("import time:")}
    assert "onnxruntime" in loaded
    assert not loaded & {"torch", "transformers", "peft", "pyarrow", "fucina.models.threads"}


@pytest.mark.parametrize("name", ["fucina.json", "model.onnx"])
def test_the_command_tells_what_is_wrong_with_it(name, copied, tmp_path):
    (copied / name).write_bytes(b"{")
    done = subprocess.run(
        [sys.executable, "-m", "fucina", "serve", str(copied)], capture_output=True, text=True,
        cwd=tmp_path, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert f"is damaged: {name}" in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
