"""The line of the program that made the examples or the targets of a training, read from its source text.

Nothing is executed: the text of the file that calls the loss is parsed, and names are followed from the loss
back over loops, loaders and slices to the last assignment that is none of these.
"""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

from unbug.detect.sites import trained_sites
from unbug.detect.syntax import (
    Scope,
    assignment,
    called,
    index_of,
    loops_around,
    part_of,
    scope_of,
    targets_of,
)
from unbug.types import Source

if TYPE_CHECKING:
    from unbug.detect.window import Window

__all__ = ["data_line", "loader_line"]

_WRAPS = frozenset(
    [
        "DataLoader",
        "TensorDataset",
        "Subset",
        "enumerate",
        "zip",
        "iter",
        "next",
        "list",
        "tqdm",
        "cycle",
        "islice",
    ]
)
_SEVERAL = frozenset({"TensorDataset", "zip"})
_PASSES = frozenset(
    [
        "to",
        "cuda",
        "cpu",
        "float",
        "long",
        "double",
        "requires_grad_",
        "split",
        "chunk",
        "detach",
        "astype",
        "unsqueeze",
        "squeeze",
        "numpy",
    ]
)
_CONVERTS = frozenset(
    ["tensor", "as_tensor", "from_numpy", "Tensor", "FloatTensor", "LongTensor", "array", "asarray"]
)
_DEEPEST = 16

_MODEL = re.compile(r"(^|\.|_)(model|net|network|classifier|regressor|encoder|module)$", re.IGNORECASE)


def data_line(window: Window, what: str) -> Source | None:
    """Where the program made what the model is trained on.

    Args:
        what: `input` or `target`; `evaluation` for the input where it is evaluated.
    """
    found = _parsed(window)
    if found is None:
        return None
    file, tree, line = found
    if what == "evaluation":
        seen = _evaluated(tree)
        if seen is None:
            return None
        number = _follow(tree, seen, seen.lineno, 0, _DEEPEST) or seen.lineno
        return Source(file=file, line=number)
    expression = _operand(tree, line, what)
    if expression is None:
        return None
    made = _follow(tree, expression, line, 1 if what == "target" else 0, _DEEPEST)
    return None if made is None else Source(file=file, line=made)


def loader_line(window: Window) -> Source | None:
    """The line that makes the loader of the loop around the loss, or the only line that makes one."""
    found = _parsed(window)
    if found is None:
        return None
    file, tree, line = found
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and called(node) == "DataLoader"]
    for loop in loops_around(tree, line):
        names = {node.id for node in ast.walk(loop.iter) if isinstance(node, ast.Name)}
        for statement in ast.walk(tree):
            if isinstance(statement, ast.Assign) and names & set(targets_of(statement.targets)):
                inside = [node for node in ast.walk(statement.value) if node in calls]
                if inside:
                    return Source(file=file, line=inside[0].lineno)
        inside = [node for node in ast.walk(loop.iter) if node in calls]
        if inside:
            return Source(file=file, line=inside[0].lineno)
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
        if isinstance(said, ast.Call) and said.args and called(said) not in _PASSES:
            inner = said.func.value if isinstance(said.func, ast.Attribute) else None
            if not (isinstance(inner, ast.Call) and inner.args):
                return said.args[0]
        if isinstance(said, ast.Call) and isinstance(said.func, ast.Attribute):
            said = said.func.value
        elif isinstance(said, (ast.Subscript, ast.Attribute)):
            said = said.value
        elif isinstance(said, ast.Name):
            made = assignment(tree, said.id, line + 1)
            if made is None:
                return None
            line, said = made.lineno - 1, made.value
        else:
            return None
    return None


def _evaluated(tree: ast.Module) -> ast.expr | None:
    """What the model is given in the first piece of code without gradients that calls one."""
    for node in ast.walk(tree):
        marks: list[ast.expr] = []
        if isinstance(node, ast.With):
            marks = [one.context_expr for one in node.items]
        elif isinstance(node, ast.FunctionDef):
            marks = node.decorator_list
        if not any("no_grad" in ast.unparse(mark) or "inference_mode" in ast.unparse(mark) for mark in marks):
            continue
        for inner in ast.walk(node):
            if isinstance(inner, ast.Call) and inner.args and _MODEL.search(ast.unparse(inner.func)):
                return inner.args[0]
    return None


def _follow(tree: ast.Module, expression: ast.expr, line: int, position: int, depth: int) -> int | None:
    """The line of the last assignment that made an expression out of something else."""
    if isinstance(expression, (ast.BinOp, ast.UnaryOp)):
        return expression.lineno
    name = _base(expression, position)
    if name is None or depth <= 0:
        return None
    for loop in loops_around(tree, line):
        if name in targets_of([loop.target]):
            return _follow(tree, loop.iter, loop.lineno, position, depth - 1)
    scope = scope_of(tree, line)
    made = assignment(scope, name, line)
    if made is None and not isinstance(scope, ast.Module):
        given = _argument(tree, scope, name)
        if given is not None:
            return _follow(tree, given, given.lineno, position, depth - 1)
        made = assignment(tree, name, line)
    if made is None:
        return None
    if any(isinstance(target, ast.Subscript) for target in made.targets):
        return made.lineno  # a part of it is changed
    value = part_of(made, name)
    further = None
    if isinstance(value, ast.Call) and not _only_selects(value):
        returned = _generated(tree, value) or _returned(tree, made, value, name)
        if returned is not None:
            further = _follow(tree, returned, returned.lineno, position, depth - 1) or returned.lineno
    elif _only_selects(value):
        further = _follow(tree, value, made.lineno, position, depth - 1)
    return made.lineno if further is None else further


def _base(node: ast.expr, position: int) -> str | None:
    """The variable that an expression selects from; of a loader of several tensors the one at a position."""
    for _ in range(4 * _DEEPEST):
        if isinstance(node, ast.Name):
            return node.id
        if isinstance(node, (ast.Subscript, ast.Attribute)):
            node = node.value
        elif isinstance(node, ast.Call):
            name = called(node)
            if name in _WRAPS | _CONVERTS and node.args:
                node = node.args[position if name in _SEVERAL and len(node.args) > position else 0]
            elif isinstance(node.func, ast.Attribute):
                node = node.func.value
            else:
                return None
        else:
            return None
    return None


def _only_selects(value: ast.expr) -> bool:
    """Whether an expression only picks rows, wraps into a loader, converts, or moves."""
    if isinstance(value, ast.Subscript):
        return _only_selects(value.value)
    if isinstance(value, ast.Name):
        return True
    if not isinstance(value, ast.Call):
        return False
    if called(value) in _WRAPS | _CONVERTS:
        return bool(value.args)
    moves = isinstance(value.func, ast.Attribute) and value.func.attr in _PASSES
    return moves and _only_selects(value.func.value)  # type: ignore[attr-defined]


def _argument(tree: ast.Module, function: Scope, name: str) -> ast.expr | None:
    """What the program gives a function of its own for a parameter, where it first calls it."""
    if isinstance(function, ast.Module):
        return None
    names = [one.arg for one in (*function.args.posonlyargs, *function.args.args)]
    if name not in names:
        return None
    method = names[0] in ("self", "cls")
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or called(node) != function.name:
            continue
        for keyword in node.keywords:
            if keyword.arg == name:
                return keyword.value
        index = names.index(name) - method
        if 0 <= index < len(node.args):
            return node.args[index]
    return None


def _returned(tree: ast.Module, made: ast.Assign, call: ast.Call, name: str) -> ast.expr | None:
    """What a function of the program returns for a variable."""
    index, count = index_of(made, name)
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and called(node) == called(call)]
    for node in ast.walk(tree) if len(calls) == 1 else ():
        if isinstance(node, ast.FunctionDef) and node.name == called(call):
            for inner in ast.walk(node):
                if isinstance(inner, ast.Return) and inner.value is not None:
                    value = inner.value
                    if isinstance(value, ast.Tuple) and len(value.elts) == count > 1:
                        value = value.elts[index]
                    return value if _base(value, 0) is not None else None
    return None


def _generated(tree: ast.Module, call: ast.Call) -> ast.expr | None:
    """What a generator of the program is made of: its first argument."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name == called(call) and call.args:
            yields = any(isinstance(inner, (ast.Yield, ast.YieldFrom)) for inner in ast.walk(node))
            return call.args[0] if yields else None
    return None
