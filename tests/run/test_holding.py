"""One process at a time in a run folder."""

import subprocess
import sys

import pytest

from fucina import run
from fucina.errors import RunError

HOLDS = """
import sys
from pathlib import Path
from fucina import run
with run.hold(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def other(tmp_path):
    """Another process that holds the folder `run` until it is told to end."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(tmp_path / "run")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_a_second_process_is_kept_out_until_the_first_ends(other, tmp_path):
    with (
        pytest.raises(RunError, match="another process writes there") as caught,
        run.hold(tmp_path / "run"),
    ):
        pass
    assert "--resume" in caught.value.fix
    with run.hold(tmp_path / "another"):
        pass
    other.communicate()
    with run.hold(tmp_path / "run"):
        pass
    assert list((tmp_path / "run").iterdir()) == []


def test_a_killed_process_keeps_nobody_out(other, tmp_path):
    other.kill()
    other.wait()
    assert (tmp_path / "run" / "in_use.lock").is_file()
    with run.hold(tmp_path / "run"):
        pass


def test_an_error_lets_go(tmp_path):
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt), run.hold(tmp_path):
            raise KeyboardInterrupt
