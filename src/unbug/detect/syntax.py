"""Names, loops and assignments of a parsed program. Nothing of it is executed."""

from __future__ import annotations

import ast
from collections.abc import Iterator

__all__ = ["Scope", "assignment", "called", "index_of", "loops_around", "part_of", "scope_of", "targets_of"]

Scope = ast.Module | ast.FunctionDef | ast.AsyncFunctionDef


def part_of(made: ast.Assign, name: str) -> ast.expr:
    """The value that an assignment gives to one of several variables."""
    index, count = index_of(made, name)
    value = made.value
    return value.elts[index] if isinstance(value, ast.Tuple) and len(value.elts) == count else value


def index_of(made: ast.Assign, name: str) -> tuple[int, int]:
    """Place of a variable among those that an assignment sets, and how many there are."""
    for target in made.targets:
        if isinstance(target, ast.Tuple):
            names = [one.id if isinstance(one, ast.Name) else "" for one in target.elts]
            if name in names:
                return names.index(name), len(names)
    return 0, 1


def called(node: ast.Call) -> str:
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def targets_of(targets: list[ast.expr]) -> Iterator[str]:
    """Variables that are set, whole or in part."""
    for target in targets:
        if isinstance(target, (ast.Tuple, ast.List)):
            yield from targets_of(target.elts)
        elif isinstance(target, ast.Starred):
            yield from targets_of([target.value])
        elif isinstance(target, ast.Name):
            yield target.id
        elif isinstance(target, ast.Subscript) and isinstance(target.value, ast.Name):
            yield target.value.id


def scope_of(tree: ast.Module, line: int) -> Scope:
    """The innermost function around a line; the module where there is none."""
    around = [
        node
        for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        and node.lineno <= line <= (node.end_lineno or node.lineno)
    ]
    return max(around, key=lambda node: node.lineno) if around else tree


def loops_around(tree: ast.Module, line: int) -> list[ast.For]:
    """Loops around a line, the innermost first."""
    around = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.For) and node.lineno <= line <= (node.end_lineno or node.lineno)
    ]
    return sorted(around, key=lambda node: -node.lineno)


def assignment(scope: Scope, name: str, before: int) -> ast.Assign | None:
    """The last assignment to a variable in front of a line; else the last of the scope."""
    found = [
        node for node in ast.walk(scope) if isinstance(node, ast.Assign) and name in targets_of(node.targets)
    ]
    earlier = [node for node in found if node.lineno < before]
    return max(earlier or found, key=lambda node: node.lineno, default=None)
