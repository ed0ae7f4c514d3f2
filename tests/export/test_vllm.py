"""The command for vLLM: a shell takes it apart into the names and folders that were meant."""

import shlex
from pathlib import Path

from fucina.export.vllm import serve_command


def test_a_merged_model_is_served_without_adapters():
    assert shlex.split(serve_command("a folder/it's")) == ["vllm", "serve", "a folder/it's"]


def test_names_and_folders_with_spaces_and_quotes_stay_whole():
    adapters = {"mail": Path("my runs/mail"), "o'brien": Path("$HOME/b")}
    words = shlex.split(serve_command("some/base", adapters, rank=32))
    assert words[:6] == ["vllm", "serve", "some/base", "--enable-lora", "--max-lora-rank", "32"]
    assert words[6:] == ["--lora-modules", "mail=my runs/mail", "o'brien=$HOME/b"]
