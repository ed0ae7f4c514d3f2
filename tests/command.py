"""The command line in this process: most of the time of a short command is starting PyTorch."""

import contextlib
import io
import os
import subprocess
import sys
from pathlib import Path
from unittest import mock

from fucina.cli import main

__all__ = ["run"]


def run(*arguments, cwd=None, env=None, input=""):
    """Do what `fucina ARGUMENTS` does; gives its exit code and what it printed.

    Output goes to no terminal, as with a pipe: 80 columns, no colors.
    """
    out, err = io.StringIO(), io.StringIO()
    with (
        contextlib.chdir(cwd or Path.cwd()),
        mock.patch.dict(os.environ, env or {}),
        mock.patch.object(sys, "argv", ["fucina", *map(str, arguments)]),
        mock.patch.object(sys, "stdin", io.StringIO(input)),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            main()
        except SystemExit as stopped:
            code = stopped.code
    return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())
