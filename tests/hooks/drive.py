"""Runs a program as `unbug run` does, with nothing recorded: `python drive.py [-m] NAME ARGS…`.

`DRIVE_CODE` is what the finishing returns; `DRIVE_SAY` makes it say how the program ended.
"""

import os
import sys

from unbug.hooks import ProgramEnd, find_module, find_script, run_program


def finish(end: ProgramEnd) -> int | None:
    if "DRIVE_SAY" in os.environ:
        failed = type(end.error).__name__ if end.error else ""
        print(
            "END", end.state, end.exit_code, failed, "late" if end.late else "", file=sys.stderr, flush=True
        )
    if "DRIVE_FAIL" in os.environ:
        raise RuntimeError("a fault of unbug")
    return int(os.environ["DRIVE_CODE"]) if "DRIVE_CODE" in os.environ else None


words = sys.argv[1:]
program = find_module(words[1], words[2:]) if words[0] == "-m" else find_script(words[0], words[1:])
run_program(program, before_exit=finish)
