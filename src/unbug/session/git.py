"""Commit, branch, remote and uncommitted changes of the program's repository, asked for at the start."""

from __future__ import annotations

import hashlib
import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unbug.privacy import Redactor

__all__ = ["Git"]

MAX_DIFF = 1_000_000
_QUESTIONS: Mapping[str, Sequence[str]] = {
    "status": ("status", "--porcelain=v2", "--branch", "--untracked-files=no"),
    "diff": ("diff", "HEAD", "--no-ext-diff", "--no-textconv", "--no-color"),
    "remote": ("config", "--get", "remote.origin.url"),
}


class Git:
    """Asks on construction, and is read when the answers are needed: the children run beside our own start.

    They are gone before the program runs, so that it sees no child that is not its own. Nothing that the
    repository configures is executed.

    Args:
        folder: Where to look for a repository, upwards.
        diff: `keep`, `hash` or `off`.
    """

    def __init__(self, folder: Path, *, diff: str = "keep") -> None:
        self._diff = diff
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._files: dict[str, int] = {}
        if not any((above / ".git").exists() for above in (folder, *folder.parents)):
            return
        for name, words in _QUESTIONS.items():
            if name == "diff" and diff == "off":
                continue
            with suppress(OSError):  # no git here: the run is recorded without
                self._ask(name, words, folder)

    def _ask(self, name: str, words: Sequence[str], folder: Path) -> None:
        file = os.memfd_create(f"unbug-git-{name}") if hasattr(os, "memfd_create") else _unnamed_file()
        self._files[name] = file
        self._children[name] = subprocess.Popen(
            [
                "git",
                "--no-optional-locks",
                "-c",
                "core.fsmonitor=false",
                "-c",
                "core.hooksPath=/dev/null",
                *words,
            ],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "GIT_TERMINAL_PROMPT": "0", "GIT_PAGER": "cat"},
        )

    def answers(self, redactor: Redactor, *, timeout_s: float = 0.2) -> dict[str, Any]:
        """Facts for the run, redacted; what took too long is missing and said so in `unknown`."""
        until = time.monotonic() + timeout_s
        said: dict[str, bytes] = {}
        unknown: list[str] = []
        for name, child in self._children.items():
            try:
                code = child.wait(max(until - time.monotonic(), 0.001))
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
                unknown.append(f"git {name} took longer than {timeout_s} s")
                continue
            if code == 0:
                said[name] = _read(self._files[name])
        for file in self._files.values():
            os.close(file)
        self._children, self._files = {}, {}
        facts = _facts(said, redactor)
        if "diff" in said:
            facts |= self._changes(said["diff"], redactor)
        if unknown:
            facts["unknown"] = unknown
        return facts

    def _changes(self, diff: bytes, redactor: Redactor) -> dict[str, Any]:
        digest = hashlib.sha256(diff).hexdigest()
        if not diff or self._diff == "hash":
            return {"diff_sha256": digest} if diff else {}
        text = redactor.text(diff[:MAX_DIFF].decode(errors="replace"))
        return {"diff_sha256": digest, "diff": text, "diff_cut": len(diff) > MAX_DIFF}


def _facts(said: Mapping[str, bytes], redactor: Redactor) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    if "status" in said:
        lines = said["status"].decode(errors="replace").splitlines()
        facts["dirty"] = any(not line.startswith("#") for line in lines)
        for line in lines:
            if line.startswith("# branch.oid ") and "(initial)" not in line:
                facts["commit"] = line.split()[2]
            elif line.startswith("# branch.head ") and "(detached)" not in line:
                facts["branch"] = redactor.text(line.split(maxsplit=2)[2])
    if remote := said.get("remote", b"").decode(errors="replace").strip():
        facts["remote"] = redactor.text(remote)
    return facts


def _read(file: int) -> bytes:
    os.lseek(file, 0, os.SEEK_SET)
    pieces = []
    while piece := os.read(file, 1 << 20):
        pieces.append(piece)
        if sum(map(len, pieces)) > MAX_DIFF:
            break
    return b"".join(pieces)


def _unnamed_file() -> int:
    import tempfile

    file, name = tempfile.mkstemp(prefix="unbug-")
    Path(name).unlink()
    return file
