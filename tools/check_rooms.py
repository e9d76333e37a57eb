"""Check that imports between the rooms of unbug run downwards, through `__init__` or `contract` only.

The one table of what a room may import stands here; a test compares it with docs/explanation/architecture.md.
Prints one line for each violation and ends with 1 if there is any. With `--names` it prints the public names
of every room instead: tests/golden/names.txt is that output.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent / "src" / "unbug"
GROUND = ("errors", "types", "settings", "privacy", "numerics")


@dataclass(frozen=True, kw_only=True)
class Room:
    """What a room may import of unbug and of others' packages. `packages=None`: any but `never`."""

    rooms: tuple[str, ...]
    packages: tuple[str, ...] | None = None
    never: tuple[str, ...] = ()


LOW = ("errors", "types", "settings", "privacy")
MIDDLE = (*GROUND, "store", "hooks", "detect", "record", "report", "interop")
NO_TORCH = ("torch", "lightning", "transformers", "accelerate")

# Rooms of one row of the table in architecture.md may import each other, all others only what is listed.
ROOMS: Mapping[str, Room] = {
    "errors": Room(rooms=LOW, packages=()),
    "types": Room(rooms=LOW, packages=()),
    "settings": Room(rooms=LOW, packages=()),
    "privacy": Room(rooms=LOW, packages=()),
    "numerics": Room(rooms=LOW, packages=("numpy",)),
    "store": Room(rooms=GROUND, never=NO_TORCH),
    "hooks": Room(rooms=GROUND),
    "detect": Room(rooms=(*GROUND, "store"), never=NO_TORCH),
    "record": Room(rooms=(*GROUND, "store", "hooks")),
    "report": Room(rooms=(*GROUND, "store", "detect"), never=NO_TORCH),
    "interop": Room(rooms=(*GROUND, "store", "hooks")),
    "checks": Room(rooms=(*GROUND, "store", "hooks", "record")),
    "session": Room(rooms=(*MIDDLE, "checks")),
    "callbacks": Room(rooms=(*MIDDLE, "checks", "session", "notebook")),
    "notebook": Room(rooms=(*MIDDLE, "checks", "session", "callbacks")),
    "cli": Room(rooms=(*MIDDLE, "checks", "session", "callbacks", "notebook")),
}
# Files that others start, which belong to no room: the public verbs, `python -m unbug`, and what Python
# itself imports in a child process.
FRONT: Mapping[str, tuple[str, ...]] = {
    "__init__.py": ("session", "notebook"),
    "__main__.py": ("cli", "errors"),
    "hooks/child/_unbug_start.py": ("session",),
}
VERBS = {"run": "session", "open": "session"}


@dataclass(frozen=True, kw_only=True)
class Import:
    """One import of one module or name, by absolute dotted name. `typing_only`: under `if TYPE_CHECKING`."""

    target: str
    line: int
    typing_only: bool = False


@dataclass(frozen=True, kw_only=True)
class Violation:
    """An import that the table does not allow."""

    file: Path
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.text}"


def imports(tree: ast.AST, package: tuple[str, ...]) -> Iterator[Import]:
    """All imports in a file, also inside functions and of constant strings through `import_module`.

    Args:
        package: Dotted parts of the package that the file lies in, for relative imports.
    """
    typing_lines = _typing_lines(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            targets = [item.name for item in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join((*base, *(node.module or "").split("."))).strip(".")
            targets = [f"{module}.{item.name}" for item in node.names]
        elif isinstance(node, ast.Call) and _called(node) in ("import_module", "__import__") and node.args:
            first = node.args[0]
            if not (isinstance(first, ast.Constant) and isinstance(first.value, str)):
                continue
            targets = [first.value]
        else:
            continue
        for target in targets:
            yield Import(target=target, line=node.lineno, typing_only=node.lineno in typing_lines)


def _called(call: ast.Call) -> str:
    function = call.func
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _typing_lines(tree: ast.AST) -> set[int]:
    """Lines inside `if TYPE_CHECKING:` blocks."""
    lines: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            for inner in node.body:
                lines.update(range(inner.lineno, (inner.end_lineno or inner.lineno) + 1))
    return lines


def check_file(file: Path, root: Path) -> Iterator[Violation]:
    """Violations of one file under `root`, the folder of the package `unbug`."""
    front = str(file.relative_to(root))
    parts = file.relative_to(root).with_suffix("").parts
    package = ("unbug", *parts[:-1])
    for found in imports(ast.parse(file.read_text(encoding="utf-8")), package):
        reason = _front(found, front) if front in FRONT else _reason(found, parts[0], root)
        if reason:
            yield Violation(file=file, line=found.line, text=reason)


def _front(found: Import, name: str) -> str | None:
    target = found.target.split(".")
    if target[0] in sys.stdlib_module_names or target[0] in ("sitecustomize", "_unbug_start", "_unbug_torch"):
        return None
    if target[0] != "unbug":
        return f"{name} imports {target[0]}, which is no standard library"
    if len(target) > 1 and target[1] in ROOMS and target[1] not in FRONT[name]:
        return f"{name} imports {target[1]}; it may import {', '.join(FRONT[name])}"
    return None


def _reason(found: Import, room: str, root: Path) -> str | None:
    """Why `room` may not do this import; None if it may."""
    if room not in ROOMS:
        return f"{room} is no room: add it to the table of tools/check_rooms.py and of architecture.md"
    rule, target = ROOMS[room], found.target.split(".")
    if target[0] != "unbug":
        return None if found.typing_only else _foreign(target[0], room, rule)
    if len(target) == 1:
        return None
    wanted = VERBS.get(target[1], target[1])
    if wanted == room or wanted not in ROOMS:
        return None
    if wanted not in rule.rooms:
        return f"{room} imports {wanted}; it may import {', '.join(rule.rooms) or 'no other room'}"
    inner = target[2] if len(target) > 2 else "contract"
    if inner != "contract" and _is_module(root / wanted, inner):
        return (
            f"{room} imports unbug.{wanted}.{inner}; a room is imported through `__init__` or `contract` only"
        )
    return None


def _foreign(package: str, room: str, rule: Room) -> str | None:
    if package in sys.stdlib_module_names or package == "__future__":
        return None
    if package in rule.never:
        return f"{room} imports {package}, which it must work without"
    if rule.packages is not None and package not in rule.packages:
        return (
            f"{room} imports {package}; it may import {', '.join(('the standard library', *rule.packages))}"
        )
    return None


def _is_module(folder: Path, name: str) -> bool:
    """A file of the room; a public name that happens to be called like a file is that name."""
    front = folder / "__init__.py"
    if front.exists() and name in _all_of(front):
        return False
    return (folder / f"{name}.py").exists() or (folder / name).is_dir()


def check(root: Path = ROOT) -> list[Violation]:
    """All violations under `root`, by file and line."""
    found = [violation for file in sorted(root.rglob("*.py")) for violation in check_file(file, root)]
    return sorted(found, key=lambda each: (str(each.file), each.line))


def public_names(root: Path = ROOT) -> dict[str, tuple[str, ...]]:
    """`__all__` of the package, of every room and of every contract, sorted; read, not imported."""
    files = [root / "__init__.py"]
    for room in ROOMS:
        files += [root / f"{room}.py", root / room / "__init__.py", root / room / "contract.py"]
    return {_module(file, root): _all_of(file) for file in files if file.exists()}


def _module(file: Path, root: Path) -> str:
    parts = ("unbug", *file.relative_to(root).with_suffix("").parts)
    return ".".join(part for part in parts if part != "__init__")


def _all_of(file: Path) -> tuple[str, ...]:
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        names = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if any(isinstance(name, ast.Name) and name.id == "__all__" for name in names):
            return tuple(sorted(ast.literal_eval(node.value)))  # type: ignore[attr-defined]
    return ()


def names_text(root: Path = ROOT) -> str:
    """The public names as tests/golden/names.txt has them."""
    return "".join(
        f"{module}\n" + "".join(f"    {name}\n" for name in names)
        for module, names in public_names(root).items()
    )


def main(arguments: list[str]) -> int:
    if arguments == ["--names"]:
        print(names_text(), end="")
        return 0
    violations = check()
    for violation in violations:
        print(violation)
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
