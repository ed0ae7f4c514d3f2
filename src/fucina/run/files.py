"""Read and write the files of a run: whole or not at all."""

import json
import math
import os
import re
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from types import TracebackType
from typing import Any

from fucina.errors import ResourceError, RunError
from fucina.records import Epoch

__all__ = [
    "append_event",
    "append_lines",
    "make_beside",
    "move_whole",
    "read_epochs",
    "read_events",
    "read_facts",
    "read_json",
    "read_tensors",
    "write_bytes",
    "write_json",
    "write_tensors",
    "write_text",
]


SYSTEM_ERROR = re.compile(r"\(os error (\d+)\)")


def append_event(folder: Path, kind: str, facts: Mapping[str, Any]) -> None:
    """Append one line to events.jsonl; a torn last line is dropped by the reader."""
    line = json.dumps({"time": round(time.time(), 3), "event": kind, **facts}, ensure_ascii=False)
    with _Disk(folder), (folder / "events.jsonl").open("a", encoding="utf-8") as file:
        file.write(line + "\n")


def append_lines(path: Path, lines: Sequence[str]) -> None:
    """Append lines that must survive a kill or a power cut from now on.

    A last line that a killed process left torn is cut off first, or it would spoil the new one.
    """
    with _Disk(path), path.open("ab+") as file:
        whole = file.tell() == 0
        if not whole:
            file.seek(-1, os.SEEK_END)
            whole = file.read() == b"\n"
        if not whole:
            file.seek(0)
            torn = file.read().rpartition(b"\n")[2]
            if not _is_json(torn):
                file.truncate(file.tell() - len(torn))
            else:
                file.write(b"\n")
        file.write("".join(f"{line}\n" for line in lines).encode("utf-8"))
        file.flush()
        os.fsync(file.fileno())


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True


def make_beside(place: Path) -> Path:
    """An empty folder beside a place, for `move_whole`; what a killed process left there goes.

    Raises:
        ResourceError: It cannot be written.
    """
    beside = place.with_name(f".{place.name}.part")
    with _Disk(place):
        shutil.rmtree(beside, ignore_errors=True)
        beside.mkdir(parents=True)
    return beside


def move_whole(made: Path, place: Path) -> None:
    """Put a folder where it belongs at once; one that somebody else put there meanwhile stays."""
    with _Disk(place):
        try:
            made.rename(place)
        except OSError:
            if not place.is_dir():
                raise
            shutil.rmtree(made)


def read_events(folder: Path) -> list[dict[str, Any]]:
    """All whole events of a run."""
    path = folder / "events.jsonl"
    events = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
        try:
            events.append(json.loads(line))
        except json.JSONDecodeError:
            continue  # the process was killed while it wrote this line
    return events


def read_epochs(folder: Path) -> list[Epoch]:
    """Every epoch of every member, in the order of time; what was not a number is NaN.

    An epoch that was done twice, before and after a kill, is there once.
    """
    found: dict[tuple[int, int], Epoch] = {}
    for event in read_events(folder):
        if event["event"] == "epoch":
            facts: dict[str, Any] = {
                field.name: math.nan if event.get(field.name) is None else event[field.name]
                for field in fields(Epoch)
            }
            found[facts["epoch"], facts["member"]] = Epoch(**facts)
    return list(found.values())


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file so that a reader sees the old content or the new, never a part.

    Raises:
        ResourceError: The disk is full or the folder cannot be written; nothing is left behind.
    """
    with _beside(path) as beside:
        beside.write_bytes(content)


@contextmanager
def _beside(path: Path) -> Iterator[Path]:
    """A place beside a file, which takes the place of the file once it is whole and on the disk."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with _Disk(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            yield beside
            with beside.open("rb+") as file:
                os.fsync(file.fileno())
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)


def write_text(path: Path, content: str) -> None:
    """Write UTF-8 text whole."""
    write_bytes(path, content.encode("utf-8"))


def write_json(path: Path, content: Any) -> None:
    """Write JSON that a person can read; accents stay letters."""
    write_text(path, json.dumps(content, ensure_ascii=False, indent=2, default=_plain) + "\n")


def read_json(path: Path) -> Any:
    """Read JSON.

    Raises:
        RunError: The file is missing or broken.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise RunError(
            f"{path} is missing.", fix="The run did not finish: fucina train RECIPE --resume."
        ) from error
    except ValueError as error:
        raise RunError(f"{path} is damaged: {error}.", fix="Train again, or restore it.") from error


def write_tensors(
    path: Path, tensors: Mapping[str, Any], facts: Mapping[str, str] | None = None
) -> None:
    """Write tensors as safetensors, whole, without another copy of them in memory."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    # One key: several would be written in another order each time, and equal runs must give
    # equal files.
    told = {"fucina": json.dumps(dict(facts or {}))}
    with _beside(path) as beside:
        try:
            save_file(_apart(tensors), beside, told)
        except SafetensorError as error:  # what the system said is told in words alone
            code = SYSTEM_ERROR.search(str(error))
            if code is None:
                raise
            raise OSError(int(code[1]), os.strerror(int(code[1]))) from error


def _apart(tensors: Mapping[str, Any]) -> dict[str, Any]:
    """Tensors as they can be written: in RAM, in one piece, none in the memory of another."""
    found, known = {}, set()
    for name, tensor in tensors.items():
        own = tensor.detach().cpu().contiguous()
        memory = own.untyped_storage()
        if memory.data_ptr() in known or memory.nbytes() != own.nbytes:
            own = own.clone()
        known.add(memory.data_ptr())
        found[name] = own
    return found


def read_tensors(path: Path) -> dict[str, Any]:
    """Read safetensors.

    Raises:
        RunError: The file is missing or broken.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise RunError(
            f"{path} cannot be read: {error}.", fix="Restore the file, or train again."
        ) from error


def read_facts(path: Path) -> dict[str, str]:
    """The metadata of a safetensors file."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            return json.loads((file.metadata() or {}).get("fucina", "{}"))
    except (SafetensorError, OSError) as error:
        raise RunError(
            f"{path} cannot be read: {error}.", fix="Restore the file, or train again."
        ) from error


class _Disk:
    """Turns a full or read-only disk into a message with a fix."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> None:
        return None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if isinstance(error, OSError):
            free = shutil.disk_usage(_existing(self.path)).free / 2**20
            raise ResourceError(
                f"cannot write {self.path}: {error.strerror} ({free:.0f} MiB free).",
                fix="Free disk space or set output: to another disk; a training goes on with "
                "--resume.",
            ) from error


def _existing(path: Path) -> Path:
    while not path.exists():
        path = path.parent
    return path


def _plain(value: Any) -> Any:
    """What JSON does not know: numpy arrays and scalars."""
    return value.tolist()
