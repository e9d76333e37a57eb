"""`--notify COMMAND`: run a command once, on the first error finding. The training never waits for it."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unbug.session.environment import first_word
from unbug.types import Severity

if TYPE_CHECKING:
    from unbug.types import Finding, Run

__all__ = ["LIMIT_S", "Notifier"]

LIMIT_S = 60
"""After so many seconds the command and all that it started is ended."""
_LAST_S = 1.0
"""How long the end of a run waits for it, only to tell how it went."""
# A shell gives /dev/null to what it starts in the background, unless that is told otherwise.
_SCRIPT = """\
exec 3<&0
eval "$UNBUG_NOTIFY_COMMAND" <&3 3<&- &
command=$!
(sleep "$UNBUG_NOTIFY_LIMIT_S"; kill -KILL 0) </dev/null 3<&- &
limit=$!
wait $command
code=$?
kill $limit 2>/dev/null
exit $code
"""


class Notifier:
    """Runs the command in a session of its own, so that neither Ctrl-C nor the program's end takes it along.

    The finding is on its stdin as JSON, and in its environment as `UNBUG_FINDING_RULE`, `_NAME`, `_SEVERITY`,
    `_PLACE`, `_STEP`, `_MESSAGE` and `_ADVICE`, with `UNBUG_RUN_PATH`, `UNBUG_RUN_NAME` and `UNBUG_RUN_ID`.

    Args:
        command: For the shell; None for no command.
        event: Writes an event of kind `notify`.
        say: Told, in a line, of a command that failed.
    """

    def __init__(
        self,
        command: str | None,
        path: Path,
        run: Run,
        *,
        event: Callable[[Mapping[str, Any]], None],
        say: Callable[[str], None],
        limit_s: float = LIMIT_S,
    ) -> None:
        self._command, self._path, self._run = command, path, run
        self._event, self._say, self._limit_s = event, say, limit_s
        self._child: subprocess.Popen[bytes] | None = None
        self._done = command is None
        self._kept = first_word(command or "")

    def tell(self, finding: Finding) -> None:
        """Start the command, if this is the first finding that is an error."""
        if self._done or finding.severity is not Severity.ERROR:
            return
        self._done = True
        run = {"name": self._run.name, "id": self._run.id, "path": str(self._path)}
        said = {**finding.to_json(), "run": run}
        with tempfile.TemporaryFile(prefix="unbug-") as given:
            given.write(json.dumps(said).encode() + b"\n")
            given.seek(0)
            self._child = subprocess.Popen(
                ["/bin/sh", "-c", _SCRIPT] if os.name == "posix" else str(self._command),
                shell=os.name != "posix",
                stdin=given,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=self._environment(finding),
                start_new_session=True,
            )
        self._event({"command": self._kept, "finding": finding.id, "rule": finding.rule})

    def look(self) -> None:
        """Take note of its end; called now and then."""
        child = self._child
        if child is None or child.poll() is None:
            return
        self._child = None
        self._event({"command": self._kept, "exit_code": child.returncode})
        if child.returncode < 0:
            self._say(f"unbug: the command of --notify took longer than {self._limit_s:g} s and was ended")
        elif child.returncode:
            self._say(f"unbug: the command of --notify ended with code {child.returncode}")

    def close(self) -> None:
        """Wait a moment for it; if it takes longer, it goes on by itself."""
        until = time.monotonic() + _LAST_S
        while self._child is not None and time.monotonic() < until:
            self.look()
            if self._child is not None:
                time.sleep(0.02)

    def _environment(self, finding: Finding) -> dict[str, str]:
        own = {name: value for name, value in os.environ.items() if not name.startswith("UNBUG_FINDING_")}
        return {
            **own,
            "UNBUG": "0",
            "UNBUG_NOTIFY_COMMAND": str(self._command),
            "UNBUG_NOTIFY_LIMIT_S": f"{self._limit_s:g}",
            "UNBUG_RUN_PATH": str(self._path),
            "UNBUG_RUN_NAME": self._run.name,
            "UNBUG_RUN_ID": self._run.id,
            "UNBUG_FINDING_RULE": finding.rule,
            "UNBUG_FINDING_NAME": finding.name,
            "UNBUG_FINDING_SEVERITY": finding.severity.value,
            "UNBUG_FINDING_PLACE": finding.place,
            "UNBUG_FINDING_STEP": str(finding.known_at),
            "UNBUG_FINDING_MESSAGE": str(finding.message),
            "UNBUG_FINDING_ADVICE": str(finding.advice),
        }
