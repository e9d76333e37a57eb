"""What `unbug run` does: run the program, recorded, and end as it does."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from unbug.session import current
from unbug.session.ending import Ending
from unbug.session.naming import name_of_module, name_of_script
from unbug.types import RunState

if TYPE_CHECKING:
    from unbug.hooks import Program, ProgramEnd
    from unbug.settings import Settings

__all__ = ["run_command"]


def run_command(words: Sequence[str], *, settings: Settings) -> None:
    """Run a program and record it; with `UNBUG=0` it runs bare.

    Args:
        words: `[SCRIPT, ARGS…]`, `["-m", MODULE, ARGS…]` or `["--", COMMAND, ARGS…]`.
    Raises:
        SystemExit, KeyboardInterrupt: the program ended so; to be let through.
        ScriptNotFoundError: there is no such program.
        StoreError: the run's folder cannot be made.
    """
    if words[0] == "--":
        from unbug.session.supervise import run_processes

        run_processes(words[1:], settings=settings)
    from unbug.hooks import find_module, find_script, run_program

    program = find_module(words[1], words[2:]) if words[0] == "-m" else find_script(words[0], words[1:])
    if not settings["enabled"]:
        run_program(program, before_exit=lambda end: None)
        return
    from unbug.session.opening import open_recording

    command = [Path(sys.executable or "python").name, *words]
    recording = open_recording(settings, name=_name(program), command=command, roots=_roots(program))
    current.begin(recording, of_command=True)
    try:
        recording.start(main=program.path or None)
        run_program(program, before_exit=lambda end: recording.close(_ending(end)))
    except KeyboardInterrupt as interrupt:
        # Before the program began, or a second one before the first had led to it.
        recording.close(Ending.of(interrupt))
        raise


def _name(program: Program) -> str:
    return name_of_module(program.name) if program.kind == "module" else name_of_script(program.path)


def _roots(program: Program) -> tuple[Path, ...]:
    if program.kind == "module":
        return ()
    path = Path(program.path)
    return (path.parent, path.resolve().parent) if program.kind == "script" else (path,)


def _ending(end: ProgramEnd) -> Ending:
    said = Ending.of(end.error)
    return Ending(
        state=RunState(end.state),
        exit_code=end.exit_code,
        error=said.error,
        traceback=said.traceback,
        late=end.late,
    )
