"""fucina export as people use it: what is wrong is told with a fix, and leaves nothing behind."""

import json
import shutil
import subprocess
import sys

import pytest

from command import run as _run
from conftest import LABELLED
from serve.conftest import _train


@pytest.fixture(scope="module")
def kind(make_base, tmp_path_factory):
    """A run that gives labels."""
    rows = [{"text": text, "label": label} for text, label in LABELLED]
    return _train(
        tmp_path_factory.mktemp("kind"), "kind", "classification", make_base("bert"), rows
    )


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--to", "merge"], "did you mean 'merged'?"),
        (["--to", "axolot"], "did you mean 'axolotl'?"),
        (["--to", "merged", "int8=true"], "int8= is for onnx: --to merged has no use for it."),
        (["--to", "onnx", "kind=Q8_0"], "kind= is for gguf and ollama"),
        (["--to", "onnx", "precision=float32"], "onnx takes cases, int8, members."),
        (["--to", "merged", "adapter=true"], "adapter= is for gguf and ollama"),
        (["--to", "merged", "--as-text"], "--as-text is for the recipes of other tools"),
        (["--to", "merged", "members=worst"], "members"),
        (["--to", "merged", "cases=0"], "cases"),
        (["--to", "merged", "kinds=F16"], "did you mean 'kind'?"),
        (["--to", "merged", "--output", "taken/out"], "cannot write taken/out: Not a directory"),
        (["--to", "merged", "--output", "taken"], "taken exists already."),
    ],
)
def test_what_is_wrong_is_told_with_a_fix_and_nothing_is_written(words, told, kind, tmp_path):
    (tmp_path / "taken").write_text("mine", encoding="utf-8")
    done = _run("export", kind, *words, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert told in " ".join(done.stderr.split())
    assert "fix:" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def test_what_a_killed_export_left_is_no_hindrance(kind, tmp_path):
    left = tmp_path / ".out.part"
    left.mkdir()
    (left / "half").write_bytes(b"")
    done = _run("export", kind, "--to", "merged", "--output", tmp_path / "out", "--json")
    assert done.returncode == 0, done.stderr
    assert all(check["passed"] for check in json.loads(done.stdout)["proof"]["checks"])
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert not (tmp_path / "out" / "half").exists()


@pytest.mark.parametrize("to", ["merged", "onnx", "adapter"])
def test_a_full_disk_is_told_and_keeps_nothing(to, kind, tmp_path):
    if shutil.which("unshare") is None:
        pytest.skip("needs unshare, to mount a small disk")
    if to == "onnx":
        pytest.importorskip("onnxruntime")
    script = (
        f"mount -t tmpfs -o size=8k none {tmp_path} || exit 77\n"
        f"{sys.executable} -m fucina export {kind} --to {to} --output {tmp_path}/out\n"
        f"echo exit $?; ls -A {tmp_path}"
    )
    done = subprocess.run(
        ["unshare", "-Urm", "sh", "-c", script], capture_output=True, text=True, check=False
    )
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip("this machine lets nobody mount")
    assert done.stdout.split() == ["exit", "2"], done.stderr
    assert "No space left on device" in done.stderr
