"""A tapped function is the same function: values, errors, lines, identity; else it is refused."""

from __future__ import annotations

import importlib.util
import inspect
import random
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import pytest

from unbug.hooks.tap import RAISED, TapError, make_tap

SOURCE = '''"""Functions of many shapes."""
import math
import warnings
from os.path import join

count = 0


def plain(x, y=2, *, z=3):
    """Text with "quotes" and a
less indented line."""
    return x + y + z


def early(x):
    if x > 3:
        return "large"
    for n in range(5):
        if n == x:
            return n
    else:
        x = None


def nothing(x):
    return


def falls_through(x):
    x + 1


def raises(x):
    return 1 / (x - 2)


def catches(x):
    try:
        return 1 / (x - 2)
    except ZeroDivisionError:
        return "caught"
    finally:
        x = 0


def changes_global(x):
    global count
    count += x
    return count


def keywords(*args, **kwargs):
    return [a * 2 for a in args], {k: (lambda v=v: v)() for k, v in kwargs.items()}


def calls_modules(x):
    warnings.warn(f"value {x}", stacklevel=2)
    return math.floor(x), join("a", str(x))


def many_lines(
    x,
    y=(1,
       2),
):
    return [
        x,
        len(y),
    ]


def recursive(n):
    return n * recursive(n - 1) if n > 1 else 1


def with_block(x):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return -x


def decorator(function):
    return function


@decorator
@decorator
def decorated(x):
    def inner(y):
        return y + x
    return inner(1)


def generator(x):
    yield x


async def later(x):
    return x


def makes_closure(x):
    def closure(y):
        return x + y
    return closure


def makes_wrapper(function):
    def wrapper(*args):
        return function(*args) + 1
    return wrapper


one_line = lambda x: x


class Base:
    def __init__(self, x):
        self.x = x


class Derived(Base):
    def __init__(self, x):
        super().__init__(x)
        self.__hidden = x * 2

    def hidden(self):
        return self.__hidden

    class Inner:
        def deep(self):
            return __class__.__qualname__
'''


@pytest.fixture
def functions(tmp_path: Path) -> Iterator[ModuleType]:
    path = tmp_path / "functions_to_tap.py"
    path.write_text(SOURCE)
    spec = importlib.util.spec_from_file_location("functions_to_tap", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["functions_to_tap"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["functions_to_tap"]


def find(module: ModuleType, name: str) -> FunctionType:
    found: Any = module
    for part in name.split("."):
        found = getattr(found, part)
    return found


def outcome(function: Any, arguments: tuple[Any, ...]) -> Any:
    try:
        return function(*arguments)
    except Exception as error:
        trace = traceback.extract_tb(error.__traceback__)[1:]
        places = [(f.name, f.lineno, f.colno, f.end_colno, f.line) for f in trace]
        return type(error), str(error), places


CALLS = [
    ("plain", (1,)), ("plain", ("x",)), ("early", (9,)), ("early", (2,)), ("early", (-1,)), ("nothing", (1,)),
    ("falls_through", (1,)), ("raises", (2,)), ("raises", (3,)), ("catches", (2,)), ("catches", (3,)),
    ("keywords", (1, 2)), ("many_lines", (5,)), ("recursive", (5,)), ("with_block", (4,)),
    ("decorated", (1,)), ("makes_wrapper", ()), ("plain", ()),
]  # fmt: skip


@pytest.mark.parametrize(("name", "arguments"), CALLS)
def test_value_error_and_lines_are_the_same(
    name: str, arguments: tuple[Any, ...], functions: ModuleType
) -> None:
    function = find(functions, name)
    facts = (
        "co_filename",
        "co_name",
        "co_qualname",
        "co_firstlineno",
        "co_flags",
        "co_freevars",
        "co_argcount",
    )
    signature, source = inspect.signature(function), inspect.getsource(function)
    bare = outcome(function, arguments)
    original = function.__code__
    calls: list[Any] = []

    def enter() -> str:
        calls.append("enter")
        return "token"

    def leave(token: Any, value: Any) -> None:
        calls.append((token, value))

    function.__code__ = make_tap(function, enter=enter, leave=leave).code
    assert outcome(function, arguments) == bare
    assert [getattr(function.__code__, f) for f in facts] == [getattr(original, f) for f in facts]
    assert (inspect.signature(function), inspect.getsource(function)) == (signature, source)
    began = len(calls) // 2
    assert calls[:began] == ["enter"] * began
    if arguments:
        assert calls[-1] == (
            "token",
            RAISED if isinstance(bare, tuple) and isinstance(bare[0], type) else bare,
        )
    function.__code__ = original
    calls.clear()
    outcome(function, arguments)
    assert calls == []


def test_global_declarations_survive(functions: ModuleType) -> None:
    function = functions.changes_global
    function.__code__ = make_tap(function, enter=int, leave=lambda token, value: None).code
    assert [function(2), function(3)] == [2, 5]
    assert functions.count == 5


@pytest.mark.parametrize(
    "body",
    [
        "import torch.cuda; return torch.cuda.__name__, seed",
        "torch = seed; return torch",
        "return (lambda: torch.__name__)(), [torch for torch in [seed]]",
        "return max([seed], key=lambda torch: torch)",
    ],
)
def test_a_function_with_a_torch_of_its_own(body: str, tmp_path: Path) -> None:
    path = tmp_path / "own_torch.py"
    lines = "\n    ".join(body.split("; "))
    path.write_text(f"import torch\n\ndef f(seed):\n    {lines}\n")
    scope: dict[str, Any] = {"__name__": "own_torch"}
    exec(compile(path.read_text(), path, "exec"), scope)
    function, seen = scope["f"], []
    bare = function(3)
    function.__code__ = make_tap(function, enter=int, leave=lambda token, value: seen.append(value)).code
    assert function(3) == bare
    assert seen == [bare]


def test_warnings_name_the_same_line(functions: ModuleType) -> None:
    function = functions.calls_modules
    with pytest.warns(UserWarning) as bare:
        function(1.5)
    function.__code__ = make_tap(function, enter=int, leave=lambda token, value: None).code
    with pytest.warns(UserWarning) as tapped:
        function(1.5)
    assert tapped[0].filename == bare[0].filename == __file__
    assert tapped[0].lineno == bare[0].lineno + 3


def test_parameters_are_given_as_they_are_at_each_end(functions: ModuleType) -> None:
    seen: list[Any] = []
    function = functions.early
    tapped = make_tap(function, enter=seen.append, leave=lambda *all: seen.append(all), enter_names=("x",),
                      leave_names=("x",))  # fmt: skip
    function.__code__ = tapped.code
    function(-1)
    assert seen == [-1, (None, None, None)]


def test_methods_keep_super_and_private_names(functions: ModuleType) -> None:
    seen: list[Any] = []
    for name in ("Derived.__init__", "Derived.hidden", "Derived.Inner.deep"):
        function = find(functions, name)
        function.__code__ = make_tap(
            function, enter=lambda self: seen.append(type(self).__name__), leave=lambda token, value: None,
            enter_names=("self",)
        ).code  # fmt: skip
    made = functions.Derived(4)
    assert (made.x, made.hidden(), functions.Derived.Inner().deep()) == (4, 8, "Derived.Inner")
    assert seen == ["Derived", "Derived", "Inner"]


def test_a_function_inside_is_tapped_where_it_is_made(functions: ModuleType) -> None:
    seen: list[Any] = []
    before = functions.makes_wrapper(abs)
    outer = functions.makes_wrapper
    tapped = make_tap(outer, enter=seen.append, leave=lambda token, value: seen.append(value),
                      enter_names=("args",), inner="wrapper")  # fmt: skip
    outer.__code__ = tapped.code
    after = outer(abs)
    assert (before(-1), seen) == (2, [])
    assert (after(-1), seen) == (2, [(-1,), 2])
    assert before.__code__ is tapped.original_inner
    assert after.__code__ is tapped.inner
    before.__code__ = tapped.inner
    assert before(-5) == 6
    assert after.__qualname__ == "makes_wrapper.<locals>.wrapper"


def test_an_interrupt_in_enter_leaves_with_no_token(functions: ModuleType) -> None:
    seen: list[Any] = []

    def enter() -> None:
        raise KeyboardInterrupt

    function = functions.plain
    function.__code__ = make_tap(function, enter=enter, leave=lambda *all: seen.append(all)).code
    with pytest.raises(KeyboardInterrupt):
        function(1)
    assert seen == [(None, RAISED)]


def test_a_call_under_way_ends_as_it_began(functions: ModuleType) -> None:
    seen: list[Any] = []
    function = functions.recursive
    original = function.__code__

    def enter(n: int) -> int:
        if n == 2:
            function.__code__ = original
        return n

    function.__code__ = make_tap(
        function, enter=enter, leave=lambda token, value: seen.append((token, value)), enter_names=("n",)
    ).code
    assert function(4) == 24
    assert seen == [(2, 2), (3, 6), (4, 24)]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("generator", "generator"),
        ("later", "no plain function"),
        ("one_line", "no plain function"),
        ("closure", "inside a function"),
    ],
)
def test_what_cannot_be_tapped_is_refused(name: str, reason: str, functions: ModuleType) -> None:
    function = functions.makes_closure(1) if name == "closure" else find(functions, name)
    with pytest.raises(TapError, match=reason):
        make_tap(function, enter=int, leave=print)


def test_a_parameter_that_is_not_there_is_refused(functions: ModuleType) -> None:
    with pytest.raises(TapError, match="no parameter 'w'"):
        make_tap(functions.plain, enter=int, leave=print, leave_names=("w",))
    with pytest.raises(TapError, match="does not define 'w'"):
        make_tap(functions.plain, enter=int, leave=print, inner="w")


def test_a_source_that_was_edited_is_refused(functions: ModuleType) -> None:
    path = Path(functions.__file__ or "")
    for old, new in (("x + y + z", "x + y - z"), ("import math", "import math\n"), ("y=2", "y=2, w=4")):
        path.write_text(SOURCE.replace(old, new))
        with pytest.raises(TapError):
            make_tap(functions.plain, enter=int, leave=print)
        sys.modules["linecache"].clearcache()
    path.unlink()
    sys.modules["linecache"].clearcache()
    with pytest.raises(TapError, match="not there"):
        make_tap(functions.plain, enter=int, leave=print)


def test_most_of_the_standard_library_can_be_tapped_and_compiles_to_itself() -> None:
    """The comparison with the original is inside `make_tap`; here it meets sources that we did not write."""
    import argparse
    import decimal
    import json.encoder
    import statistics
    import textwrap

    modules = (argparse, json.encoder, statistics, textwrap, random, inspect)
    refused, tapped = [], 0
    for module in (*modules, decimal):
        owners = [module, *(thing for thing in vars(module).values() if inspect.isclass(thing))]
        for owner in owners:
            for thing in vars(owner).values():
                if isinstance(thing, FunctionType) and thing.__module__ == module.__name__:
                    try:
                        make_tap(thing, enter=int, leave=print)
                        tapped += 1
                    except TapError as reason:
                        refused.append((thing.__qualname__, str(reason)))
    unexpected = [
        row for row in refused if not any(word in row[1] for word in ("generator", "inside", "plain"))
    ]
    assert tapped > 300
    assert unexpected == []
