"""The line of the program that made the examples or the targets of a training, read from its source text.

Nothing is executed: the text of the file that calls the loss is parsed, and names are followed from the loss
back over loops, loaders and slices to the last assignment that is none of these.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import TYPE_CHECKING

from unbug.detect.sites import trained_sites
from unbug.types import Source

if TYPE_CHECKING:
    from unbug.detect.window import Window

__all__ = ["data_line", "loader_line"]

_WRAPS = frozenset(
    {"DataLoader", "TensorDataset", "Subset", "enumerate", "zip", "iter", "next", "list", "tqdm", "cycle"}
)
_PASSES = frozenset(
    {"to", "cuda", "cpu", "float", "long", "double", "requires_grad_", "split", "chunk", "detach"}
)
_DEEPEST = 8


def data_line(window: Window, what: str) -> Source | None:
    """Where the program made what the model is trained on.

    Args:
        what: `input` or `target`.
    """
    found = _parsed(window)
    if found is None:
        return None
    file, tree, line = found
    expression = _operand(tree, line, what)
    if expression is None:
        return None
    number = _follow(tree, expression, line, 1 if what == "target" else 0, _DEEPEST)
    return None if number is None else Source(file=file, line=number)


def loader_line(window: Window) -> Source | None:
    """The line that makes the loader of the loop around the loss, or the only line that makes one."""
    found = _parsed(window)
    if found is None:
        return None
    file, tree, line = found
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and _called(node) == "DataLoader"]
    for loop in _loops(tree, line):
        names = {node.id for node in ast.walk(loop.iter) if isinstance(node, ast.Name)}
        for statement in ast.walk(tree):
            if isinstance(statement, ast.Assign) and names & set(_targets(statement.targets)):
                inside = [node for node in ast.walk(statement.value) if node in calls]
                if inside:
                    return Source(file=file, line=inside[0].lineno)  # type: ignore[attr-defined]
        inside = [node for node in ast.walk(loop.iter) if node in calls]
        if inside:
            return Source(file=file, line=inside[0].lineno)  # type: ignore[attr-defined]
    return Source(file=file, line=calls[0].lineno) if len(calls) == 1 else None


def _parsed(window: Window) -> tuple[str, ast.Module, int] | None:
    for site in trained_sites(window):
        if site.source is None:
            continue
        for event in window.events("source"):
            text = event.fields.get("text")
            if event.fields.get("file") == site.source.file and isinstance(text, str):
                try:
                    return site.source.file, ast.parse(text), site.source.line
                except (SyntaxError, ValueError, RecursionError):
                    return None
    return None


def _operand(tree: ast.Module, line: int, what: str) -> ast.expr | None:
    """The expression of the target in the loss call of a line, or of what the model was given for it."""
    calls = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and node.lineno <= line <= (node.end_lineno or node.lineno)
    ]
    two = [node for node in calls if len(node.args) >= 2]
    if not two:
        return None
    loss = min(two, key=lambda node: ((node.end_lineno or node.lineno) - node.lineno, node.col_offset))
    if what == "target":
        return loss.args[1]
    said: ast.expr = loss.args[0]
    for _ in range(_DEEPEST):
        if isinstance(said, ast.Call) and said.args and not isinstance(said.func, ast.Attribute):
            return said.args[0]
        if isinstance(said, ast.Call) and said.args and _called(said) not in _PASSES:
            inner = said.func.value if isinstance(said.func, ast.Attribute) else None
            if not (isinstance(inner, ast.Call) and inner.args):
                return said.args[0]
        if isinstance(said, ast.Call) and isinstance(said.func, ast.Attribute):
            said = said.func.value
        elif isinstance(said, (ast.Subscript, ast.Attribute)):
            said = said.value
        elif isinstance(said, ast.Name):
            made = _assignment(tree, said.id, line + 1)
            if made is None:
                return None
            line, said = made.lineno - 1, made.value
        else:
            return None
    return None


def _follow(tree: ast.Module, expression: ast.expr, line: int, position: int, depth: int) -> int | None:
    """The line of the last assignment that made an expression out of something else."""
    name = _base(expression, position)
    if name is None or depth <= 0:
        return None
    for loop in _loops(tree, line):
        targets = list(_targets([loop.target]))
        if name in targets:
            return _follow(tree, loop.iter, loop.lineno, position, depth - 1)
    made = _assignment(tree, name, line)
    if made is None:
        return None
    value = made.value
    if isinstance(value, ast.Tuple) and len(made.targets) == 1 and isinstance(made.targets[0], ast.Tuple):
        names = [one.id if isinstance(one, ast.Name) else "" for one in made.targets[0].elts]
        if name in names and len(names) == len(value.elts):
            value = value.elts[names.index(name)]
    if _only_selects(value):
        further = _follow(tree, value, made.lineno, position, depth - 1)
        return made.lineno if further is None else further
    return made.lineno


def _base(node: ast.expr, position: int) -> str | None:
    """The variable that an expression selects from; of a loader of several tensors the one at a position."""
    for _ in range(4 * _DEEPEST):
        if isinstance(node, ast.Name):
            return node.id
        if isinstance(node, (ast.Subscript, ast.Attribute)):
            node = node.value
        elif isinstance(node, ast.Call):
            called = _called(node)
            if called in _WRAPS and node.args:
                several = called in ("TensorDataset", "zip") and len(node.args) > position
                node = node.args[position if several else 0]
            elif isinstance(node.func, ast.Attribute):
                node = node.func.value
            else:
                return None
        else:
            return None
    return None


def _only_selects(value: ast.expr) -> bool:
    """Whether an expression only picks rows, wraps into a loader, or moves."""
    if isinstance(value, ast.Subscript):
        return _only_selects(value.value)
    if isinstance(value, ast.Name):
        return True
    if isinstance(value, ast.Call):
        return _called(value) in _WRAPS or (
            isinstance(value.func, ast.Attribute)
            and value.func.attr in _PASSES
            and _only_selects(value.func.value)
        )
    return False


def _called(node: ast.Call) -> str:
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def _targets(targets: list[ast.expr]) -> Iterator[str]:
    for target in targets:
        for node in ast.walk(target):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                yield node.id


def _loops(tree: ast.Module, line: int) -> list[ast.For]:
    """Loops around a line, the innermost first."""
    around = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.For) and node.lineno <= line <= (node.end_lineno or node.lineno)
    ]
    return sorted(around, key=lambda node: -node.lineno)


def _assignment(tree: ast.Module, name: str, before: int) -> ast.Assign | None:
    """The last assignment to a variable in front of a line; else the last of the file."""
    found = [
        node for node in ast.walk(tree) if isinstance(node, ast.Assign) and name in _targets(node.targets)
    ]
    earlier = [node for node in found if node.lineno < before]
    return max(earlier or found, key=lambda node: node.lineno, default=None)
