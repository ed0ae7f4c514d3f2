"""vLLM is started, waited for, asked and ended; here a program of its name that speaks as it does.

The program takes vLLM's command line, and is this project's own server over the same run.
"""

import json
import os
import sys
import time
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from fucina import run, using
from fucina.cli.app import app as commands
from fucina.config import ServeConfig
from fucina.endpoint import Server
from fucina.engines import Sampling
from fucina.engines.upstream import UpstreamTalker
from fucina.errors import EndpointError, ResourceError, RunError
from fucina.hosted import VllmTalker
from fucina.models.template import Template
from fucina.records import Example

from .conftest import served

SPEAKS = """#!{python}
import json, os, sys
from pathlib import Path

words = sys.argv[1:]
flags = dict(zip(words, words[1:]))
assert words[0] == "serve" and "--enable-lora" in words and flags["--host"] == "127.0.0.1", words
name, adapter = flags["--lora-modules"].split("=", 1)
facts = json.loads((Path(adapter) / "adapter_config.json").read_text())
assert facts["r"] <= int(flags["--max-lora-rank"]) in (1, 8, 16, 32, 64, 128, 256, 320, 512)
assert (Path(words[1]) / "config.json").is_file() and int(flags["--max-model-len"]) > 0
assert "{{%-" in Path(flags["--chat-template"]).read_text()
assert json.loads((Path(flags["--generation-config"]) / "generation_config.json").read_text())
Path(os.environ["TOLD"]).write_text(json.dumps([os.getpid(), words]))
os.execv(sys.executable, [sys.executable, "-m", "fucina", "serve", str(Path(adapter).parent),
                          "port=" + flags["--port"], "reload_s=0"])
"""


@pytest.fixture
def vllm(tmp_path, monkeypatch):
    """Give a function: text of a program → it is what `vllm` means; what it is told is in a file."""
    place = tmp_path / "bin"
    place.mkdir()

    def put(text=SPEAKS):
        text = text.replace("{python}", sys.executable)
        (place / "vllm").write_text(text.replace("{{", "{").replace("}}", "}"), encoding="utf-8")
        (place / "vllm").chmod(0o755)
        monkeypatch.setenv("PATH", f"{place}{os.pathsep}{os.environ['PATH']}")
        monkeypatch.setenv("TOLD", str(tmp_path / "told.json"))
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        return tmp_path / "told.json"

    return put


def test_a_run_is_answered_by_the_program_and_it_ends_with_the_server(vllm, runs, web):
    asked = "Dove sta Ada?"
    alone = using.predict(runs["talk"], [asked]).answers[0]
    told = vllm()
    with served([runs["talk"]], engine="vllm") as (url, app):
        pid, words = json.loads(told.read_text())
        assert web(f"{url}/v1/models").json()["data"][0]["fucina"]["engine"] == "vllm"
        reply = web(f"{url}/predict", {"text": asked}).json()
        assert reply["answer"] == alone
        assert (reply["model"], reply["route"]) == ("talk", "model")
        body = {"model": "talk", "messages": [{"role": "user", "content": asked}]}
        chat = web(f"{url}/v1/chat/completions", body).json()
        assert chat["choices"][0]["message"]["content"] == reply["answer"]
        assert any(line.startswith("vllm serve ") and "--enable-lora" in line
                   for line in app.state.said)  # fmt: skip
        os.kill(pid, 0)
    assert words[words.index("--lora-modules") + 1].startswith("talk=")
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_where_it_dies_rules_answer(vllm, runs, web, tmp_path):
    told = vllm()
    rules = tmp_path / "rules.yaml"
    rules.write_text("rules: []\nreply: Chiedi al banco.\n")
    with served([runs["talk"]], engine="vllm", route={"rules": str(rules)}) as (url, _):
        pid, _ = json.loads(told.read_text())
        os.kill(pid, 9)
        time.sleep(0.5)
        reply = web(f"{url}/predict", {"text": "Dove sta Ada?"}).json()
        assert (reply["answer"], reply["route"]) == ("Chiedi al banco.", "rules")


@pytest.mark.parametrize(("program", "message"), [
    ("#!/bin/sh\necho out of memory >&2\nexit 3\n", "ended with 3: out of memory"),
    ("#!/bin/sh\necho loading\nexec sleep 60\n", "not up after 0.6 s: loading"),
])  # fmt: skip
def test_a_program_that_does_not_come_up_is_told(program, message, vllm, runs):
    vllm(program)
    with (
        pytest.raises(RunError, match=message),
        served([runs["talk"]], engine="vllm", load_s=0.6),
    ):
        pass


def test_without_program_or_gpu_the_line_for_another_machine_is_told(vllm, runs, monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(RunError, match="no program vllm") as caught:
        served([runs["talk"]], engine="vllm").__enter__()
    assert "vllm serve " in caught.value.fix
    assert "--lora-modules talk=" in caught.value.fix
    vllm()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ResourceError, match="no CUDA GPU"):
        served([runs["talk"]], engine="vllm").__enter__()
    done = CliRunner().invoke(commands, ["serve", str(runs["talk"]), "engine=vllm"])
    assert isinstance(done.exception, ResourceError)


def test_what_it_does_not_compute_is_refused(runs, tmp_path):
    import shutil

    for name, change, message in (
        ("kind", {}, "answers with labels"),
        ("talk", {"dora: false": "dora: true"}, "lengths of DoRA"),
        ("talk", {"rank: 4": "rank: 1000"}, "rank 1000, over 512"),
        ("talk", {"count: 0": "count: 2"}, "2 members"),
    ):
        folder = shutil.copytree(runs[name], tmp_path / message.replace(" ", "-"))
        text = (folder / "recipe.yaml").read_text("utf-8")
        for old, new in change.items():
            assert old in text
            text = text.replace(old, new)
        (folder / "recipe.yaml").write_text(text, "utf-8")
        with pytest.raises(RunError, match=message):
            served([folder], engine="vllm").__enter__()
    with pytest.raises(RunError, match="serves one run, and there are 2"):
        served([runs["talk"], runs["sist"]], engine="vllm").__enter__()


def test_the_words_of_the_system_are_sent(runs, endpoint):
    class Tokenizer:
        pass

    template = Template(Tokenizer(), "", "none", system="Rispondi piano.")
    talker = VllmTalker(UpstreamTalker(Server(endpoint.url, "x", "")), template, 100)
    endpoint.script = [(200, {}, {})]
    with pytest.raises(EndpointError):
        list(talker.talk(Example("Dove?", ""), Sampling()))
    assert [turn["role"] for turn in endpoint.requests[-1]["messages"]] == ["system", "user"]
    assert ServeConfig().engine == "auto"
    assert run.template_of(runs["sist"]).is_file()
    assert not Path(runs["sist"] / "vllm").exists()
