"""The command `noder` in this process: a start of Python and torch for each call would be most of the tests' time."""

import contextlib
import io
import subprocess
import sys
from unittest import mock

from noder.cli import main


def noder(*arguments: object) -> subprocess.CompletedProcess[str]:
    """What the command says on both streams, and its exit code. An error that nobody caught is raised here."""
    command = ["noder", *map(str, arguments)]
    out, err, code = io.StringIO(), io.StringIO(), 0
    with mock.patch.object(sys, "argv", command), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main()
        except SystemExit as leave:
            code = leave.code if isinstance(leave.code, int) else 1
    return subprocess.CompletedProcess(command, code, out.getvalue(), err.getvalue())
