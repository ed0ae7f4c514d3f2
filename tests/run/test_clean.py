"""Free disk, never the best."""

import os

from fucina import run


def _run_folder(output, name, stamp, *, complete):
    folder = output / name / stamp
    for part in ("best_model_peft_minilm", "checkpoint", "epochs/fold1_epoch1"):
        (folder / part).mkdir(parents=True)
        (folder / part / "weights").write_bytes(b"x" * 1000)
    (folder / "environment.json").write_text("{}")
    if complete:
        (folder / "metrics.json").write_text("{}")
    return folder


def test_checkpoints_go_and_the_best_and_what_may_still_run_stay(tmp_path):
    done = _run_folder(tmp_path, "a", "1", complete=True)
    stale = _run_folder(tmp_path, "b", "1", complete=False)
    newest = _run_folder(tmp_path, "b", "2", complete=False)
    before = run.removable(tmp_path)
    removed = run.clean(tmp_path)
    assert removed == before
    assert {path for path, _ in removed} == {
        folder / part for folder in (done, stale) for part in ("checkpoint", "epochs")
    }
    assert sum(size for _, size in removed) == 4000
    for folder in (done, stale, newest):
        assert (folder / "best_model_peft_minilm" / "weights").is_file()
    assert (newest / "checkpoint" / "weights").is_file()
    assert run.clean(tmp_path) == []


def test_half_written_files_of_dead_processes_go(tmp_path):
    folder = _run_folder(tmp_path, "a", "1", complete=True)
    dead, alive = folder / ".x.json.99999999.tmp", folder / f".y.json.{os.getpid()}.tmp"
    dead.write_text("half")
    alive.write_text("half")
    run.clean(tmp_path)
    assert not dead.exists()
    assert alive.exists()
