"""Make the code object of a tap: the same function, with a call at its entry and one at its end.

The function's own source is parsed, two calls are put in, and the result is compiled under the same file
name, lines, columns and qualified name. Assigning it to `function.__code__` changes nothing else: the
function keeps its identity, signature, defaults and depth on the stack, so warnings' stack levels,
tracebacks, `inspect`, `torch.jit.script` (which reads the source file), `torch.fx` and `__torch_function__`
tables see what they saw before. What a tap does is this, where BODY is the original and the two callables
are constants of the code object, so that nothing is added to the module, and calls under way when it is
undone end as they began:

    if torch.compiler.is_compiling():   # Dynamo folds this, and so traces the original and nothing else
        BODY
    else:
        token = value = None
        try:
            try:
                token = enter(<parameters>)
                BODY, with `return X` as `return (value := X)`
            finally:
                leave(token, value, <parameters>)
        except BaseException:
            passing()   # by default, an interrupt that came in `enter` or `leave` is shown as without these
            raise

Before anything is changed, the unchanged source is compiled and compared with the code that is to be
replaced. If they differ (edited file, other compiler, no source) the function is left alone and `TapError`
says why.
"""

# ruff: noqa: N815
# They are the names that ast.NodeTransformer calls.

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from types import CodeType, FunctionType, ModuleType
from typing import Any, Final

from unbug.hooks.interrupts import show_as_bare
from unbug.hooks.kept import Kept, digest
from unbug.hooks.source import TapError, compiled, imported_names, nested, parsed, source_of

__all__ = ["RAISED", "TapError", "Tapped", "make_tap"]


class _Raised:
    """What `leave` gets in place of a value when the function raised."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "<raised>"


RAISED: Final = _Raised()

_ENTER, _LEAVE, _NOTHING, _PASSING = ("\0unbug enter", "\0unbug leave", "\0unbug nothing", "\0unbug passing")
_FUTURE_FLAGS = 0x1FF0000


class Tapped:
    """New code of a function, and of the function inside it that was asked for (the same, if none was)."""

    __slots__ = ("code", "inner", "original", "original_inner")

    def __init__(self, original: CodeType, original_inner: CodeType, code: CodeType, inner: CodeType) -> None:
        self.original, self.original_inner, self.code, self.inner = original, original_inner, code, inner


def make_tap(
    function: FunctionType,
    *,
    enter: Callable[..., Any],
    leave: Callable[..., None],
    enter_names: Sequence[str] = (),
    leave_names: Sequence[str] = (),
    inner: str | None = None,
    kept: Kept | None = None,
    passing: Callable[[], object] = show_as_bare,
) -> Tapped:
    """Compile `function` with `enter` and `leave` in it; nothing is assigned.

    Args:
        enter: Called with the values of `enter_names`; what it returns is the token.
        leave: Called with the token (None if `enter` raised), the value (`RAISED` if there is none), and the
            values of `leave_names` as they are then.
        inner: Name of a function defined inside `function` that is to be tapped in its place.
        passing: Called while what the function or a call of ours raised goes on to the caller.
        kept: Taps that were compiled before, and where a new one is put.
    Raises:
        TapError: the source is missing, is not what was compiled, or has a shape that cannot be tapped.
    """
    original = function.__code__
    question = _question(function, original if inner is None else nested(original, inner))
    key = "" if kept is None else digest(original, question, inner, tuple(enter_names), tuple(leave_names))
    code = None if kept is None else kept.get(key)
    if code is None:
        code = _compile(function, enter_names, leave_names, inner, question=question)
        if kept is not None:
            kept.put(key, code)
    code = _with_constants(code, {_ENTER: enter, _LEAVE: leave, _NOTHING: RAISED, _PASSING: passing})
    pair = (original, code) if inner is None else (nested(original, inner), nested(code, inner))
    if (code.co_freevars, pair[1].co_freevars) != (original.co_freevars, pair[0].co_freevars):
        raise TapError("its closure would change")
    return Tapped(original, pair[0], code, pair[1])


def _compile(
    function: FunctionType,
    enter_names: Sequence[str],
    leave_names: Sequence[str],
    inner: str | None,
    *,
    question: str,
) -> CodeType:
    """The code with constants that stand for the two calls."""
    original = function.__code__
    text, plain = source_of(original)
    imported = imported_names(function, plain)
    definition = parsed(text)
    target, other = definition, plain
    if inner is not None:
        target, other = _find(definition, inner), _find(plain, inner)
    known = {argument.arg for argument in ast.walk(target.args) if isinstance(argument, ast.arg)}
    for name in (*enter_names, *leave_names):
        if name not in known:
            raise TapError(f"it has no parameter {name!r}")
    target.body = _tapped_body(target, other, enter_names, leave_names, question=question)
    return compiled(definition, original, imported)


def _question(function: FunctionType, target: CodeType) -> str:
    """The statements that ask whether Dynamo traces; empty outside torch, where it never traces."""
    own = (*target.co_varnames, *target.co_cellvars, *target.co_freevars)
    if isinstance(function.__globals__.get("torch"), ModuleType) and "torch" not in own:
        return "if torch.compiler.is_compiling():"
    if "torch" in function.__globals__ or function.__module__.partition(".")[0] == "torch":
        return "import torch as _unbug_torch\nif _unbug_torch.compiler.is_compiling():"
    return ""


def _find(definition: ast.FunctionDef, name: str) -> ast.FunctionDef:
    for node in definition.body:
        if isinstance(node, ast.FunctionDef) and node.name == name:
            return node
    raise TapError(f"it does not define {name!r}")


def _with_constants(code: CodeType, constants: dict[str, Any]) -> CodeType:
    def replaced(constant: Any) -> Any:
        if isinstance(constant, CodeType):
            return _with_constants(constant, constants)
        return constants.get(constant, constant) if isinstance(constant, str) else constant

    return code.replace(co_consts=tuple(replaced(constant) for constant in code.co_consts))


class _Returns(ast.NodeTransformer):
    """`return X` -> `return (_unbug_value := X)`, in this function only; declarations are taken out."""

    def __init__(self) -> None:
        self.declarations: list[ast.stmt] = []

    def visit_Return(self, node: ast.Return) -> ast.Return:
        value = node.value or ast.copy_location(ast.Constant(value=None), node)
        name = ast.copy_location(ast.Name(id="_unbug_value", ctx=ast.Store()), value)
        node.value = ast.copy_location(ast.NamedExpr(target=name, value=value), value)
        return node

    def _declaration(self, node: Any) -> ast.stmt:
        self.declarations.append(node)
        return ast.copy_location(ast.Pass(), node)

    visit_Global = visit_Nonlocal = _declaration

    def _leave_alone(self, node: Any) -> Any:
        return node

    visit_FunctionDef = visit_AsyncFunctionDef = visit_ClassDef = visit_Lambda = _leave_alone

    def _refuse(self, node: Any) -> Any:
        raise TapError("it is a generator")

    visit_Yield = visit_YieldFrom = visit_Await = _refuse


def _tapped_body(
    target: ast.FunctionDef,
    other: ast.FunctionDef,
    enter_names: Sequence[str],
    leave_names: Sequence[str],
    *,
    question: str,
) -> list[ast.stmt]:
    split = 1 if ast.get_docstring(target, clean=False) is not None else 0
    head, watched, plain = target.body[:split], target.body[split:], other.body[split:]
    if not watched:
        raise TapError("it does nothing")
    anchor = _first_run(watched[0])
    returns = _Returns()
    body = [returns.visit(statement) for statement in watched]
    declarations = _Declarations()
    plain = [declarations.visit(statement) for statement in plain]
    template = f"""
{question or "if True:"}
    pass
else:
    _unbug_enter = {_ENTER!r}
    _unbug_leave = {_LEAVE!r}
    _unbug_value = {_NOTHING!r}
    _unbug_token = None
    try:
        try:
            _unbug_token = _unbug_enter({", ".join(enter_names)})
            _unbug_value = None
        finally:
            _unbug_leave({", ".join(("_unbug_token", "_unbug_value", *leave_names))})
    except BaseException:
        _unbug_passing = {_PASSING!r}
        _unbug_passing()
        raise
"""
    statements = ast.parse(template).body
    choice = statements[-1]
    assert isinstance(choice, ast.If)
    for node in (node for statement in statements for node in ast.walk(statement)):
        if isinstance(node, (ast.expr, ast.stmt, ast.keyword, ast.excepthandler)):
            ast.copy_location(node, anchor)
    passing = choice.orelse[-1]
    assert isinstance(passing, ast.Try)
    attempt = passing.body[0]
    assert isinstance(attempt, ast.Try)
    attempt.body[1:1] = body
    choice.body = plain
    return [*head, *returns.declarations, *(statements if question else choice.orelse)]


def _first_run(statement: ast.stmt) -> ast.stmt | ast.expr:
    """What of a statement runs first: what a traceback shows where a call of ours was interrupted."""
    if isinstance(statement, (ast.If, ast.While)):
        return statement.test
    if isinstance(statement, (ast.For, ast.AsyncFor)):
        return statement.iter
    if isinstance(statement, (ast.With, ast.AsyncWith)):
        return statement.items[0].context_expr
    if isinstance(statement, ast.Try):
        return _first_run(statement.body[0])
    return statement


class _Declarations(_Returns):
    """Takes out declarations, which may be made only once, and leaves returns as they are."""

    def visit_Return(self, node: ast.Return) -> ast.Return:
        return node
