"""Taps in libraries that are imported later: put in when they are, and nothing else is different."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import itertools
import linecache
import os
import sys
import textwrap
import threading
import traceback
from collections.abc import Callable, Iterator
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from typing import Any

import pytest

from unbug.hooks import Late
from unbug.hooks.spec import Spec
from unbug.hooks.tap import RAISED

_numbers = itertools.count()
LIBRARY = '''
import functools


def wrapped(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return function(*args, **kwargs)

    return wrapper


def hidden(function):
    def inner(*args, **kwargs):
        return function(*args, **kwargs)

    return inner


def plain(value, more=1):
    """Add."""
    return value + more


def generator(value):
    yield value


length = len


class Writer:
    def method(self, value):
        if value < 0:
            raise ValueError("negative")
        return -value

    @staticmethod
    def static(value):
        return value * 2

    @classmethod
    def of(cls, value):
        return (cls.__name__, value)

    @wrapped
    def decorated(self, value):
        return value * 3

    @hidden
    def secret(self, value):
        return value * 4
'''


class Library:
    """A package made for one test, and a `Late` that waits for it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.name = folder, f"lateful{next(_numbers)}"
        self.told: list[Any] = []
        self.faults: list[tuple[str, Exception]] = []
        self.late: Late | None = None

    def write(self, text: str = LIBRARY, *, module: str = "core") -> None:
        package = self.folder / self.name
        package.mkdir(exist_ok=True)
        (package / "__init__.py").touch()
        (package / f"{module}.py").write_text(textwrap.dedent(text))
        importlib.invalidate_caches()

    def wait(self, *names: str, leave: Callable[..., None] | None = None, **spec: Any) -> Late:
        """Wait for `core`; each call of a named function is told as its value."""

        def told(name: str) -> Callable[..., None]:
            return lambda token, value, *_: self.told.append((name, value))

        module = f"{self.name}.core"
        specs = [
            Spec(name=f"{module}.{name}", what="calls", guard="none", leave=leave or told(name), **spec)
            for name in names
        ]
        self.late = Late({module: lambda: specs}, fault=lambda *fault: self.faults.append(fault))
        self.late.install()
        return self.late

    def load(self) -> Any:
        return importlib.import_module(f"{self.name}.core")


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Library]:
    monkeypatch.syspath_prepend(tmp_path)
    made = Library(tmp_path)
    before = list(sys.meta_path)
    yield made
    if made.late is not None:
        made.late.remove()
    assert sys.meta_path == before
    for name in [name for name in sys.modules if name.startswith(made.name)]:
        del sys.modules[name]


def test_a_library_is_tapped_when_it_is_imported(library: Library) -> None:
    library.write()
    late = library.wait("plain")
    assert late.patches() == []
    core = library.load()
    assert core.plain(1, more=2) == 3
    assert library.told == [("plain", 3)]
    (row,) = late.patches()
    assert (row.name, row.installed) == (f"{library.name}.core.plain", True)


def test_a_library_that_is_there_already_is_tapped_at_once(library: Library) -> None:
    library.write()
    core = library.load()
    library.wait("plain")
    core.plain(1)
    assert library.told == [("plain", 2)]


def test_a_library_that_is_being_imported_is_tapped_when_it_is_complete(library: Library) -> None:
    library.write("import sys\n\nsys.lateful()\n" + LIBRARY)
    sys.lateful = lambda: library.wait("plain")  # type: ignore[attr-defined]
    try:
        core = library.load()
    finally:
        del sys.lateful  # type: ignore[attr-defined]
    core.plain(1)
    assert library.told == [("plain", 2)]
    assert type(core.__spec__) is ModuleSpec


def test_whatever_decorates_a_function_the_function_itself_is_tapped(library: Library) -> None:
    library.write()
    late = library.wait(
        "Writer.method", "Writer.static", "Writer.of", "Writer.decorated", "Writer.secret", "plain"
    )
    core = library.load()
    assert [row for row in late.patches() if not row.installed] == []
    writer = core.Writer()
    assert writer.method(1) == -1
    assert core.Writer.static(2) == 4
    assert core.Writer.of(3) == ("Writer", 3)
    assert writer.decorated(4) == 12
    assert writer.secret(5) == 20
    assert [name for name, _ in library.told] == [
        "Writer.method", "Writer.static", "Writer.of", "Writer.decorated", "Writer.secret",
    ]  # fmt: skip


def test_what_cannot_be_tapped_says_why_and_the_rest_is(library: Library) -> None:
    library.write()
    late = library.wait("generator", "length", "missing", "Writer.nothing", "plain")
    core = library.load()
    reasons = {row.name.rpartition("core.")[2]: row.reason for row in late.patches() if not row.installed}
    assert reasons == {
        "generator": "it is a generator",
        "length": "it is a builtin_function_or_method, not written in Python",
        "missing": "this version has no 'missing' there",
        "Writer.nothing": "this version has no 'nothing' there",
    }
    assert list(core.generator(1)) == [1]
    core.plain(1)
    assert library.told == [("plain", 2)]


def test_what_is_raised_is_told_and_raised(library: Library) -> None:
    library.write()
    library.wait("Writer.method")
    core = library.load()
    with pytest.raises(ValueError, match="negative"):
        core.Writer().method(-1)
    assert library.told == [("Writer.method", RAISED)]


def test_nothing_of_ours_is_left(library: Library) -> None:
    library.write()
    bare = library.load()
    code = bare.plain.__code__
    late = library.wait("plain", "Writer.method")
    assert bare.plain.__code__ is not code
    late.remove()
    late.remove()
    assert bare.plain.__code__ is code
    bare.plain(1)
    assert library.told == []
    assert all(row.reason == "removed" for row in late.patches())


def test_a_call_under_way_at_the_end_tells_nothing(library: Library) -> None:
    library.write("def call(back):\n    return back()\n")
    late = library.wait("call")
    core = library.load()
    core.call(late.remove)
    assert library.told == []


def test_an_imported_module_has_its_own_loader(library: Library) -> None:
    library.write()
    library.wait("plain")
    lines = set(linecache.cache)
    core = library.load()
    assert set(linecache.cache) - lines == set()
    assert type(core.__loader__) is type(core.__spec__.loader) is SourceFileLoader
    assert inspect.getsource(core.plain) in LIBRARY


def test_looking_for_a_module_does_not_load_it(library: Library) -> None:
    library.write()
    library.wait("plain")
    name = f"{library.name}.core"
    found = importlib.util.find_spec(name)
    assert found is not None
    assert found.loader.get_source(name) == LIBRARY  # type: ignore[union-attr]
    assert name not in sys.modules
    assert type(found.loader) is SourceFileLoader
    library.load().plain(1)
    assert library.told == [("plain", 2)]


class Lazy:
    """A finder of the program's, whose modules are loaded when they are used."""

    def __init__(self, name: str) -> None:
        self.name = name

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        spec = PathFinder.find_spec(name, path, target) if name == self.name else None
        if spec is not None and spec.loader is not None:
            spec.loader = importlib.util.LazyLoader(spec.loader)
        return spec


def test_a_module_that_loads_when_it_is_used_is_not_used_by_us(library: Library) -> None:
    library.write("import sys\n\nsys.lateful = True\n\n\ndef plain(value):\n    return value\n")
    name = f"{library.name}.core"
    sys.meta_path.insert(0, Lazy(name))  # type: ignore[arg-type]
    late = library.wait("plain")
    try:
        exec(f"import {name}")
        assert not hasattr(sys, "lateful")
        assert sys.modules[name].plain(1) == 1
        assert hasattr(sys, "lateful")
        assert late.patches() == []
    finally:
        del sys.lateful  # type: ignore[attr-defined]
        late.remove()
        sys.meta_path.pop(0)


BROKEN = {
    "raises": "import json\n\n\ndef deeper():\n    raise OSError('no such device')\n\n\ndeeper()\n",
    "is no Python": "def plain(:\n",
    "imports what is not there": "import nothing_of_this_name\n",
}


@pytest.mark.parametrize("text", BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_library_breaks_as_it_does_bare(library: Library, text: str) -> None:
    def shown() -> str:
        try:
            library.load()
        except Exception:
            return traceback.format_exc()
        raise AssertionError("it is not broken")

    library.write(text)
    bare = shown()
    late = library.wait("plain")
    assert shown() == bare
    assert shown() == bare
    assert library.faults == []
    assert late.patches() == []


def test_a_library_that_is_not_there(library: Library) -> None:
    with pytest.raises(ModuleNotFoundError) as bare:
        library.load()
    library.wait("plain")
    with pytest.raises(ModuleNotFoundError) as watched:
        library.load()
    assert str(bare.value) == str(watched.value)
    assert [frame.name for frame in bare.traceback[-1:]] == [frame.name for frame in watched.traceback[-1:]]


@pytest.mark.parametrize("shape", ["file", "folder"])
def test_a_file_or_folder_of_the_programs_hides_a_library(library: Library, shape: str) -> None:
    if shape == "file":
        (library.folder / f"{library.name}.py").write_text("mine = True\n")
    else:
        (library.folder / library.name / "offline-run").mkdir(parents=True)
    importlib.invalidate_caches()
    late = library.wait("plain")
    found = importlib.import_module(library.name)
    assert getattr(found, "mine", None) is (True if shape == "file" else None)
    with pytest.raises(ModuleNotFoundError):
        library.load()
    assert late.patches() == []


def test_what_fails_in_ours_is_told_once_and_switched_off(library: Library) -> None:
    def fails(*_: Any) -> None:
        raise RuntimeError("ours")

    library.write()
    library.wait("plain", leave=fails)
    core = library.load()
    assert [core.plain(number) for number in range(3)] == [1, 2, 3]
    ((where, error),) = library.faults
    assert where == f"{library.name}.core.plain"
    assert str(error) == "ours"
    assert error.__traceback__ is None


def test_an_interrupt_in_ours_goes_through(library: Library) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    library.write()
    library.wait("plain", leave=interrupted)
    core = library.load()
    with pytest.raises(KeyboardInterrupt):
        core.plain(1)


def test_a_function_that_somebody_else_put_there_is_left_alone(library: Library) -> None:
    library.write("from textwrap import dedent as plain\n")
    late = library.wait("plain")
    assert library.load().plain(" x") == "x"
    (row,) = late.patches()
    assert row.reason == "textwrap has put another function in its place"


def test_many_threads_import_it_and_it_is_tapped_once(library: Library) -> None:
    library.write("import time\n\ntime.sleep(0.05)\n" + LIBRARY)
    late = library.wait("plain")
    threads = [threading.Thread(target=library.load) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    library.load().plain(1)
    assert library.told == [("plain", 2)]
    assert len(late.patches()) == 1


def test_a_forked_child_is_as_bare(library: Library) -> None:
    library.write()
    core = library.load()
    code = core.plain.__code__
    late = library.wait("plain")
    before = len(sys.meta_path)
    child = os.fork()
    if child == 0:
        bare = core.plain.__code__ is code and len(sys.meta_path) == before - 1
        os._exit(0 if bare else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    core.plain(1)
    assert library.told == [("plain", 2)]
    assert late.patches()[0].installed
