"""Files of a run on a disk that is full, and files that are damaged."""

import shutil
import subprocess
import sys

import pytest
import torch

from fucina import run
from fucina.errors import ResourceError, RunError

# A private mount of a few kilobytes is a disk that is really full; nothing outside sees it.
FILL_UP = """
mount -t tmpfs -o size={size} tmpfs {disk} || exit 77
{fucina} train {recipe}; echo "exit code $?"
find {disk} -name '.*.tmp'
ls {disk}/my-classifier
mount -o remount,size=50m {disk}
{fucina} train {recipe} --resume >/dev/null; echo "exit code $?"
"""


@pytest.mark.parametrize(("size", "resumed"), [("8k", 2), ("80k", 0)])
def test_a_full_disk_stops_the_run_which_goes_on_when_there_is_room(
    size, resumed, make_base, tmp_path
):
    if shutil.which("unshare") is None:
        pytest.skip("needs unshare, to mount a small disk")
    fucina = f"{sys.executable} -m fucina"
    subprocess.run([*fucina.split(), "new", tmp_path / "job"], check=True, capture_output=True)
    disk, recipe = tmp_path / "disk", tmp_path / "small.yaml"
    disk.mkdir()
    recipe.write_text(
        f"{{task: classification, name: my-classifier, output: {disk},"
        f" data: {{train: job/sample.jsonl}}, model: {{base: {make_base('bert')}}},"
        " adapter: {rank: 16, layers: all}, training: {epochs: 2}, evaluation: {baselines: []}}",
        encoding="utf-8",
    )
    script = FILL_UP.format(size=size, disk=disk, fucina=fucina, recipe=recipe)
    done = subprocess.run(
        ["unshare", "-Urm", "sh", "-c", script], capture_output=True, text=True, check=False
    )
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip("this machine lets nobody mount")
    assert [line for line in done.stdout.splitlines() if "exit" in line] == [
        "exit code 2", f"exit code {resumed}",
    ]  # fmt: skip
    assert "No space left on device" in done.stderr
    assert "set output: to another disk" in done.stderr
    assert "defect" not in done.stderr
    assert ".tmp" not in done.stdout  # no half-written file
    if resumed == 2:  # the run had not begun, so nothing of it is left
        assert "nothing to resume" in done.stderr


@pytest.mark.parametrize(("name", "content", "read"), [
    ("metrics.json", b"{", run.read_json),
    ("predictions.parquet", b"PAR1 no", run.read_predictions),
    ("adapter_model.safetensors", b"\x08\0\0\0\0\0\0\0{broken}", run.read_tensors),
])  # fmt: skip
def test_a_damaged_file_is_named_with_a_fix(name, content, read, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(RunError) as caught:
        read(tmp_path / name)
    assert name in caught.value.problem
    assert caught.value.fix


def test_a_torn_last_event_is_left_out(tmp_path):
    run.append_event(tmp_path, "epoch", {"epoch": 1, "città": "è"})
    with (tmp_path / "events.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"event": "epo')
    assert [event["città"] for event in run.read_events(tmp_path)] == ["è"]


@pytest.mark.parametrize(("before", "after"), [
    ("", "nuova\n"),
    ('{"a": "è"}\n', '{"a": "è"}\nnuova\n'),
    ('{"a": "è"}\n{"a": "perch', '{"a": "è"}\nnuova\n'),  # a kill tore it
    ('{"a": "è"}', '{"a": "è"}\nnuova\n'),  # an editor left out the line end
    ('{"a', "nuova\n"),
])  # fmt: skip
def test_an_appended_line_stands_alone_whatever_the_file_ended_with(before, after, tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text(before, encoding="utf-8")
    run.append_lines(path, ["nuova"])
    assert path.read_text("utf-8") == after


def test_tensors_that_share_memory_are_written_each_by_itself(tmp_path):
    whole = torch.arange(6.0)
    told = {"whole": whole, "again": whole, "part": whole[2:4], "turned": whole.view(2, 3).T}
    run.write_tensors(tmp_path / "a.safetensors", told, {"epoch": "1"})
    found = run.read_tensors(tmp_path / "a.safetensors")
    assert {name: tensor.tolist() for name, tensor in found.items()} == {
        name: tensor.tolist() for name, tensor in told.items()
    }
    assert run.read_facts(tmp_path / "a.safetensors") == {"epoch": "1"}
    assert [path.name for path in tmp_path.iterdir()] == ["a.safetensors"]


def test_a_file_of_tensors_that_cannot_be_written_says_why(tmp_path):
    (tmp_path / "a.safetensors").mkdir()
    with pytest.raises(ResourceError, match="cannot write "):
        run.write_tensors(tmp_path / "a.safetensors", {"a": torch.zeros(2)}, {})
    assert [path.name for path in tmp_path.iterdir()] == ["a.safetensors"]
