"""The source of a function, and the code that it compiles to: what the function has, or nothing."""

from __future__ import annotations

import ast
import functools
import linecache
from collections.abc import Iterator, Sequence
from types import CodeType, FunctionType, ModuleType

__all__ = ["TapError", "compiled", "imported_names", "nested", "parsed", "source_of"]

_FUTURE_FLAGS = 0x1FF0000


class TapError(Exception):
    """The function cannot be tapped; the text is the reason that the patch table shows."""


def source_of(code: CodeType) -> tuple[str, ast.FunctionDef]:
    """The text of a function, after as many empty lines as put it at its place, and its definition."""
    lines = linecache.getlines(code.co_filename)
    start = code.co_firstlineno - 1
    if not 0 <= start < len(lines):
        raise TapError("its source is not there")
    indent = len(lines[start]) - len(lines[start].lstrip())
    head = "if 1:\n" if indent else ""
    quotes = lines[start].count('"""')
    for end in range(start + 1, len(lines) + 1):
        if end < len(lines):
            line = lines[end]
            bare = line.lstrip()
            inside = quotes % 2 or not bare or len(line) - len(bare) > indent or bare[0] in ")]}#"
            quotes += line.count('"""')
            if inside or lines[end - 1].lstrip().startswith("@"):
                continue
        text = head + "".join(lines[start:end])
        text = "\n" * (code.co_firstlineno - (2 if head else 1)) + text
        try:
            return text, parsed(text)
        except SyntaxError:
            continue
    raise TapError("its source cannot be parsed")


def parsed(text: str) -> ast.FunctionDef:
    """Its definition, with its lines and columns in the file."""
    node = ast.parse(text).body[0]
    if isinstance(node, ast.If):
        node = node.body[0]
    if not isinstance(node, ast.FunctionDef):
        raise TapError("it is no plain function")
    return node


def imported_names(function: FunctionType, definition: ast.FunctionDef) -> Sequence[str]:
    """Which of the names it uses its module imported: CPython compiles `name.call()` differently for these.

    Tried out until the unchanged source compiles to the code that is there.
    """
    original = function.__code__
    used = [name for name in _names(original) if name in function.__globals__]
    modules = [name for name in used if isinstance(function.__globals__[name], ModuleType)]
    home = function.__module__
    foreign = [name for name in used if getattr(function.__globals__[name], "__module__", home) != home]
    for names in (modules, [*modules, *foreign], ()):
        if _same(compiled(definition, original, names), original):
            return names
    for declared in (_declared, _declared_whole):
        names = declared(original.co_filename)
        if _same(compiled(definition, original, names), original):
            return names
    raise TapError("its source is not what was compiled")


@functools.lru_cache(maxsize=2)
def _declared(path: str) -> list[str]:
    """All names that a file imports outside functions and classes, as its lines look."""
    names: list[str] = []
    for statement in _imports(linecache.getlines(path)):
        try:
            node = ast.parse(statement).body[0]
        except (SyntaxError, IndexError):  # a line of a text that looks like one
            continue
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names += _bound(node)
    return names


def _declared_whole(path: str) -> list[str]:
    """The same, by the grammar. Slow: the whole file is parsed."""
    names: list[str] = []
    waiting: list[ast.AST] = [ast.parse("".join(linecache.getlines(path)))]
    while waiting:
        for node in ast.iter_child_nodes(waiting.pop()):
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                names += _bound(node)
            elif isinstance(node, (ast.If, ast.Try, ast.With, ast.For, ast.While, ast.ExceptHandler)):
                waiting.append(node)
    return names


def _bound(node: ast.Import | ast.ImportFrom) -> list[str]:
    return [(alias.asname or alias.name).partition(".")[0] for alias in node.names if alias.name != "*"]


def _imports(lines: Sequence[str]) -> Iterator[str]:
    """The texts of import statements at the top of a file, in its `if`s and `try`s too.

    To parse the file would be twenty times slower: most of it is functions and classes.
    """
    inside, at = False, 0
    while at < len(lines):
        line = lines[at].strip()
        if lines[at][:1] not in " \t)#\n":
            inside = line.startswith(("def ", "class ", "async ", "@"))
        if not inside and line.startswith(("import ", "from ")):
            begun = at
            while at < len(lines) - 1 and (
                lines[at].rstrip().endswith("\\") or ("(" in line and ")" not in lines[at])
            ):
                at += 1
            yield "".join(lines[begun : at + 1]).strip()
        at += 1


def _names(code: CodeType) -> set[str]:
    inner = (constant for constant in code.co_consts if isinstance(constant, CodeType))
    return set(code.co_names).union(*map(_names, inner))


def compiled(definition: ast.FunctionDef, original: CodeType, imported: Sequence[str]) -> CodeType:
    """The definition inside the classes of its qualified name, so that names and `super()` are right."""
    node: ast.stmt = definition
    owners = original.co_qualname.split(".")[:-1]
    if "<locals>" in owners:
        raise TapError("it is defined inside a function")
    for owner in reversed(owners):
        node = ast.ClassDef(name=owner, bases=[], keywords=[], body=[node], decorator_list=[])
        node.type_params = []  # type: ignore[attr-defined]
        ast.copy_location(node, definition)
    imports = ast.parse("".join(f"import {name}\n" for name in imported)).body
    module = ast.Module(body=[*imports, node], type_ignores=[])
    flags = original.co_flags & _FUTURE_FLAGS
    code: CodeType = compile(module, original.co_filename, "exec", flags=flags, dont_inherit=True)
    for name in (*owners, original.co_name):
        code = nested(code, name)
    return code


def nested(code: CodeType, name: str) -> CodeType:
    """The code of a function or class that the code defines."""
    constants: tuple[object, ...] = code.co_consts
    for constant in constants:
        if isinstance(constant, CodeType) and constant.co_name == name:
            return constant
    raise TapError(f"it does not define {name!r}")


def _same(left: CodeType, right: CodeType) -> bool:
    facts = (
        "co_code", "co_names", "co_varnames", "co_freevars", "co_cellvars", "co_flags", "co_argcount",
        "co_posonlyargcount", "co_kwonlyargcount", "co_firstlineno", "co_linetable", "co_exceptiontable",
        "co_qualname",
    )  # fmt: skip
    if any(getattr(left, fact) != getattr(right, fact) for fact in facts):
        return False
    if len(left.co_consts) != len(right.co_consts):
        return False
    for one, two in zip(left.co_consts, right.co_consts, strict=True):
        if isinstance(one, CodeType) and isinstance(two, CodeType):
            if not _same(one, two):
                return False
        elif type(one) is not type(two) or (one != two and repr(one) != repr(two)):
            return False
    return True
