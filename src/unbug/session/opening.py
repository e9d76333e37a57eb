"""Open a recording of this process: the run's own, or a child's where another process of the launch began."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unbug.privacy import Redactor
from unbug.session.environment import first_facts
from unbug.session.faults import Faults
from unbug.session.git import Git
from unbug.session.launch import Launch
from unbug.session.placing import place
from unbug.session.resume import to_resume
from unbug.session.rules import check_rules, check_suppress
from unbug.session.voice import Voice

if TYPE_CHECKING:
    from unbug.session.children import ChildRecording
    from unbug.session.recording import Recording
    from unbug.settings import Settings
    from unbug.types import Run

__all__ = ["open_recording"]


def open_recording(
    settings: Settings,
    *,
    name: str,
    command: Sequence[str],
    roots: Sequence[Path] = (),
    of_processes: bool = False,
) -> Recording | ChildRecording:
    """Find or make the run, and what records into it; nothing is watched before its `start`.

    Args:
        command: As it was typed, program first; redacted before it is written.
        roots: Folders of the program, whose modules' source is kept.
        of_processes: This process trains nothing itself; it starts the command, whose processes do.
    Raises:
        StoreError: the run's folder cannot be made.
        SettingError: a setting of rules has a value that it cannot have.
        UsageError: the run to resume is still running, or there is none.
    """
    from unbug import __version__
    from unbug.store import create_run

    check_rules(settings)  # a wrong one is told before the program starts
    check_suppress(settings)
    redactor = Redactor.of_process(command, os.environ)
    voice = Voice(quiet=settings["quiet"], language=settings["lang"])
    faults = Faults(strict=settings["strict"], quiet=settings["quiet"], stream=lambda: voice.stream)
    launch = Launch.of(os.environ, name=settings["name"] or name, command=command if of_processes else ())
    folder = roots[0] if roots else settings.base
    git = None if launch.identity else Git(folder, diff=settings["privacy.diff"])
    facts: dict[str, Any] = {}
    with faults.guard("describing the machine"):
        facts = first_facts(command, settings, redactor, launch=launch.said)
    directory: Path = settings.directory.value.absolute()

    def make() -> tuple[Path, Run]:
        clean = redactor.text(settings["name"] or name)
        tags = tuple(map(redactor.text, settings["tags"]))
        return create_run(directory, name=clean, tags=tags, facts=facts, unbug_version=__version__)

    placed = place(
        directory,
        launch,
        make=make,
        resume=lambda: to_resume(settings["resume"], directory, facts, say=voice.say),
    )
    if not placed.first:
        from unbug.session.children import ChildRecording

        return ChildRecording(placed.path, settings, attempt=placed.attempt)
    from unbug.session.recording import Recording

    return Recording(
        settings,
        placed,
        voice=voice,
        faults=faults,
        redactor=redactor,
        git=git or Git(folder, diff=settings["privacy.diff"]),
        facts=facts,
        roots=roots,
        of_processes=of_processes,
    )
