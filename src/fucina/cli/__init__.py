"""The command line: one file a verb; records become tables, errors one line and a fix."""

import sys
from typing import Any

__all__ = ["main"]


def main() -> None:
    """Run a verb. Exit codes: 0 done, 1 a goal was missed, 2 the user can mend it, 3 our defect."""
    import typer

    from fucina.cli.app import app
    from fucina.errors import FucinaError

    try:
        code = app(standalone_mode=False)
    except typer.Abort:
        code = 130
    except KeyboardInterrupt:
        print("\nstopped; a training goes on with --resume.", file=sys.stderr)  # noqa: T201
        code = 130
    except BrokenPipeError:  # the reader of our output, such as `head`, has seen enough
        sys.stderr.close()
        code = 0
    except FucinaError as error:
        print(f"error: {error.problem}\nfix:   {error.fix}", file=sys.stderr)  # noqa: T201
        code = 2
    except MemoryError:
        print(  # noqa: T201
            "error: out of memory.\n"
            "fix:   Set training.batch_size=4 or model.max_length_tokens=64.",
            file=sys.stderr,
        )
        code = 2
    except Exception as error:  # a defect of ours must not look like the user's mistake
        code = _usage(error) or _disk(error) or _defect(error)
    sys.exit(code if isinstance(code, int) else 0)


def _usage(error: Any) -> int:
    """Say what is wrong with the words of a command; 0 when they are right.

    Newer releases of typer hold a copy of click, whose errors are not those of click.
    """
    if not any(kind.__name__ == "ClickException" for kind in type(error).__mro__):
        return 0
    error.show()
    return 2


def _disk(error: Exception) -> int:
    """Say what a disk refused where a library of others wrote to it; 0 when none did."""
    import errno
    import os
    import re

    told = re.search(r"\(os error (\d+)\)", str(error))  # of libraries in Rust
    code = error.errno if isinstance(error, OSError) else int(told[1]) if told else None
    full = code in (errno.ENOSPC, errno.EDQUOT)
    if code is None or not (full or code in (errno.EACCES, errno.EROFS, errno.ENOTDIR)):
        return 0
    fix = (
        "Free disk space or set output: to another disk; a training goes on with --resume."
        if full
        else "Name a file or folder that this user may read and write."
    )
    where = getattr(error, "filename", None) or "the disk"
    what = f"cannot {'write to' if full else 'use'} {where}"
    print(f"error: {what}: {os.strerror(code)}.\nfix:   {fix}", file=sys.stderr)  # noqa: T201
    return 2


def _defect(error: Exception) -> int:
    """Keep the traceback in a file and say where it is."""
    import tempfile
    import traceback
    from pathlib import Path

    with tempfile.NamedTemporaryFile(
        "w", prefix="fucina-", suffix=".log", delete=False, encoding="utf-8"
    ) as file:
        traceback.print_exc(file=file)
    summary = str(error).splitlines()[0] if str(error) else ""
    print(  # noqa: T201
        f"error: a defect of Fucina: {type(error).__name__}: {summary[:200]}\n"
        f"fix:   Report it with {Path(file.name)}; nothing of the run is lost.",
        file=sys.stderr,
    )
    return 3
