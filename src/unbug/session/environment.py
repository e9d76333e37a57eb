"""Facts about the process and the machine that a run keeps."""

from __future__ import annotations

import hashlib
import os
import platform
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unbug.privacy import allowed_environment

if TYPE_CHECKING:
    from unbug.privacy import Redactor
    from unbug.settings import Settings

__all__ = ["first_facts", "first_word", "packages", "torch_facts"]


def first_facts(
    command: Sequence[str], settings: Settings, redactor: Redactor, *, launch: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """What is known before the program starts; goes into the manifest."""
    listed = {name: one for name, one in settings.all.items() if name != "rules"}
    return {
        "command": redactor.argv(command),
        "program": redactor.argv(_program(command)),
        "launch": redactor.json(dict(launch or {})),
        "cwd": redactor.text(_current_folder()),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "executable": redactor.text(sys.executable or ""),
        "platform": platform.platform(),
        "host": redactor.text(platform.node()),
        "pid": os.getpid(),
        "hardware": {"cpu": _cpu(), "cores": len(_cores()), "memory_bytes": _memory_bytes()},
        "environment": allowed_environment(os.environ, redactor, also=settings["privacy.environment"]),
        "settings": {
            name: {"value": _plain(name, one.value, redactor), "origin": one.origin}
            for name, one in listed.items()
        },
        "entry": _entry(command),
    }


def _program(command: Sequence[str]) -> list[str]:
    """The command without Python and its options: what was run, however it was started."""
    words = list(command)
    if not Path(words[0]).name.startswith("python"):
        return words
    at = 1
    while at < len(words) and words[at].startswith("-") and words[at] not in ("-m", "-c", "-"):
        at += 2 if words[at] in ("-W", "-X", "--check-hash-based-pycs") else 1
    return words[at:]


def first_word(command: str) -> str:
    """What of a command for the shell is kept: its words may hold addresses that only few may know."""
    return f"{command.split()[0]} …" if command.split()[1:] else command


def packages() -> dict[str, str]:
    """Every installed distribution with its version, from the names of folders alone."""
    found: dict[str, str] = {}
    for folder in dict.fromkeys(sys.path):
        for name in _names(folder):
            if name.endswith((".dist-info", ".egg-info")):
                package, dash, version = name.rpartition(".")[0].partition("-")
                if dash:
                    found.setdefault(package.replace("_", "-").lower(), version.partition("-py")[0])
    return dict(sorted(found.items()))


def torch_facts() -> dict[str, Any]:
    """Devices and flags, without waking up CUDA: a program that never touches it must not start to."""
    torch = sys.modules.get("torch")
    if torch is None or not hasattr(torch, "__version__"):
        return {}
    facts: dict[str, Any] = {
        "version": str(torch.__version__),
        "threads": torch.get_num_threads(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "cpu_capability": str(torch.backends.cpu.get_cpu_capability()),
        "cuda": torch.version.cuda,
    }
    if torch.version.cuda and torch.cuda.is_initialized():
        facts["devices"] = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
        facts["cudnn_benchmark"] = torch.backends.cudnn.benchmark
    return facts


def _names(folder: str) -> Iterator[str]:
    try:
        with os.scandir(folder or ".") as entries:
            yield from (entry.name for entry in entries)
    except OSError:
        return  # zip files and folders that are gone are on sys.path, too


def _current_folder() -> str:
    try:
        return str(Path.cwd())
    except OSError:
        return ""


def _cpu() -> str:
    try:
        with Path("/proc/cpuinfo").open(encoding="utf-8", errors="replace") as file:
            return next(line.partition(":")[2].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def _cores() -> set[int]:
    try:
        return os.sched_getaffinity(0)
    except AttributeError:
        return set(range(os.cpu_count() or 1))


def _memory_bytes() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return 0


def _entry(command: Sequence[str]) -> dict[str, str]:
    """Fingerprint of the program's first file, whatever privacy says about its text."""
    for word in command[1:]:
        path = Path(word)
        if path.suffix == ".py" and path.is_file():
            return {"file": str(path.absolute()), "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    return {}


def _plain(name: str, value: Any, redactor: Redactor) -> Any:
    if name == "notify" and value:
        value = first_word(value)
    return redactor.json(list(value) if isinstance(value, tuple) else value)
