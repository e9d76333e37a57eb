"""The magics, and the events of IPython that they rest on.

A cell that begins with `%%unbug` is not handed to a function: the line is taken out (its place stays empty,
so that line numbers are those on the screen) and the cell runs as it would without. The recording begins
before its first line and ends after its last one, whatever ended it. So its value, its display, its `await`,
its names and its tracebacks are those of the bare cell.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from unbug.errors import FindingsStandError, UnbugError, UsageError
from unbug.notebook.options import USAGE, Asked, parse
from unbug.settings import resolve

if TYPE_CHECKING:
    from unbug.session import Session

__all__ = ["Extension"]

MARK = "%%unbug"
_known: weakref.WeakKeyDictionary[Any, Extension] = weakref.WeakKeyDictionary()


class Extension:
    """What is added to one shell."""

    def __init__(self, shell: Any) -> None:
        self._shell = weakref.ref(shell)
        self._installed = False
        self._in_cell = False
        self._of_cell: tuple[Session, Asked] | None = None
        self._open: tuple[Session, Asked] | None = None

        def transformer(lines: list[str]) -> list[str]:
            return self.without_mark(lines)

        transformer.has_side_effects = True  # type: ignore[attr-defined]  # not for `is this complete?`
        self._transformer = transformer

    @staticmethod
    def of(shell: Any) -> Extension:
        """The one of this shell."""
        if shell not in _known:
            _known[shell] = Extension(shell)
        return _known[shell]

    def install(self) -> None:
        """Add it. Idempotent."""
        shell = self._shell()
        if self._installed or shell is None:
            return
        self._installed = True
        shell.input_transformers_cleanup.append(self._transformer)
        shell.events.register("pre_run_cell", self.before_cell)
        shell.events.register("post_run_cell", self.after_cell)
        for kind, function in (("line", self.line), ("cell", self.cell)):
            shell.register_magic_function(_documented(function), magic_kind=kind, magic_name="unbug")
        html = shell.display_formatter.formatters["text/html"]
        for (module, name), drawn in _DRAWN.items():
            html.for_type_by_name(module, name, drawn)

    def remove(self) -> None:
        """Take everything back. Idempotent."""
        shell = self._shell()
        if not self._installed or shell is None:
            return
        self._installed = False
        self._end_open()
        shell.input_transformers_cleanup.remove(self._transformer)
        shell.events.unregister("pre_run_cell", self.before_cell)
        shell.events.unregister("post_run_cell", self.after_cell)
        for kind in ("line", "cell"):
            shell.magics_manager.magics[kind].pop("unbug", None)
        html = shell.display_formatter.formatters["text/html"]
        for module, name in _DRAWN:
            html.deferred_printers.pop((module, name), None)
            for kind in [
                one for one in html.type_printers if (one.__module__, one.__name__) == (module, name)
            ]:
                html.pop(kind)

    # What IPython calls.
    def without_mark(self, lines: list[str]) -> list[str]:
        """The cell without its first line, if that is `%%unbug` and the cell is a whole one.

        Raises:
            UnbugError: its options are wrong; the cell does not run then.
        """
        if self._in_cell or not lines or not _is_marked(lines[0]):
            return lines
        with _brief():
            _checked(lines[0].removeprefix(MARK))
        return ["\n", *lines[1:]]

    def before_cell(self, info: Any) -> None:
        """A cell begins."""
        self._in_cell = True
        first = (info.raw_cell or "").split("\n", 1)[0]
        if not _is_marked(first) or self._open is not None:
            return
        try:
            asked = _checked(first.removeprefix(MARK))
            self._of_cell = _begin(asked), asked
        except UnbugError as error:  # a run is open that the program began, or no folder can be made
            print(f"unbug: this cell is not recorded by itself: {error}", file=sys.stderr)

    def after_cell(self, result: Any) -> None:
        """A cell has ended, by whatever."""
        self._in_cell = False
        mine, self._of_cell = self._of_cell, None
        if mine is None:
            return
        if getattr(result, "error_before_exec", None) is not None:  # no line of it ran
            mine[0].discard()
            return
        error = getattr(result, "error_in_exec", None)
        failed = _end(*mine, error)
        shell = self._shell()
        if failed is not None and error is None and shell is not None:
            result.error_in_exec = failed
            shell.showtraceback((type(failed), failed, None))

    def line(self, line: str) -> None:
        """Record a statement, switch recording on or off, or show the run."""
        __tracebackhide__ = True
        with _brief():
            asked = parse(line)
        if asked.verb == "on":
            self._turn_on(asked)
        elif asked.verb == "off":
            with _brief():
                if self._open is None:
                    raise UsageError("no run is open; `%unbug on` begins one")
                self._end_open()
        elif asked.statement:
            self.cell("", asked.statement, asked)
        else:
            self._show()

    def cell(self, line: str, cell: str, asked: Asked | None = None) -> None:
        """Record code that stands below another magic (`%%time`, then `%%unbug`)."""
        __tracebackhide__ = True
        shell = self._shell()
        if shell is None:
            return
        with _brief():
            asked = asked or _checked(line)
            mine = (_begin(asked), asked) if self._open is None and self._of_cell is None else None
        error: BaseException | None = None
        try:
            typed = shell.history_manager.input_hist_raw[-1]
            text = "\n" * typed[: max(typed.find(cell.rstrip()), 0)].count("\n") + shell.transform_cell(cell)
            number = len(shell.history_manager.input_hist_raw) - 1
            name = shell.compile.cache(text, number, raw_code=text)
            exec(compile(text, name, "exec"), shell.user_ns)
        except BaseException as raised:
            error = raised
            raise
        finally:
            failed = _end(*mine, error) if mine is not None else None
        if failed is not None:
            raise failed

    def _turn_on(self, asked: Asked) -> None:
        with _brief():
            self._open = _begin(asked), asked
        session = self._open[0]
        if session.path is None:
            print("unbug is switched off (UNBUG=0)")
        else:
            print(f"unbug: recording to {session.path}; `%unbug off` ends it and shows what was found")

    def _end_open(self) -> None:
        mine, self._open = self._open, None
        if mine is not None:
            failed = _end(*mine, None)
            if failed is not None:
                raise failed

    def _show(self) -> None:
        from unbug.session import open_run

        display: Any = sys.modules["IPython"].display.display

        if self._open is not None:
            display(self._open[0])
        else:
            with open_run("@last") as view:
                display(view)


def _is_marked(line: str) -> bool:
    return line.rstrip() == MARK or line.startswith((f"{MARK} ", f"{MARK}\t"))


def _documented(function: Callable[..., None]) -> Callable[..., None]:
    """The same, with what `%unbug?` is to say."""

    def magic(*given: str) -> None:
        __tracebackhide__ = True
        function(*given)

    magic.__doc__ = USAGE
    return magic


@contextmanager
def _brief() -> Iterator[None]:
    """What is wrong with a magic's own line is said in one line: there are no frames worth seeing."""
    try:
        yield
    except UnbugError as error:
        said = f"{type(error).__name__}: {error}"
        error._render_traceback_ = lambda *_: [said]  # type: ignore[attr-defined]
        raise


def _checked(line: str) -> Asked:
    """The options of `%%unbug`, each with a value that it can have."""
    asked = parse(line)
    if asked.verb or asked.statement:
        raise UsageError(f"`%%unbug` takes options only\n{USAGE}")
    resolve(asked.flags)
    return asked


def _begin(asked: Asked) -> Session:
    from unbug.session import notebook_name, run_in_notebook

    return run_in_notebook(asked.flags, name=notebook_name())


def _end(session: Session, asked: Asked, error: BaseException | None) -> FindingsStandError | None:
    """Close the run, which shows what was found; what the cell is to fail with, if it must."""
    session.__exit__(None if error is None else type(error), error, None)
    fail_on = asked.flags.get("fail_on")
    if fail_on is None or session.path is None or error is not None:
        return None
    from unbug.session import open_run, reaches

    with open_run(session.path) as view:
        findings = view.findings()
    return FindingsStandError(session.path.name, fail_on, findings) if reaches(findings, fail_on) else None


def _table_html(table: Any) -> str:
    from unbug.report import table_fragment

    return table_fragment(table)


def _diagnosis_html(diagnosis: Any) -> str:
    from unbug.report import findings_fragment

    return findings_fragment(diagnosis.findings)


def _tables_html(tables: Any) -> str:
    from unbug.report import tables_fragment

    return tables_fragment({name: tables[name].column_names for name in tables})


_DRAWN: dict[tuple[str, str], Callable[[Any], str]] = {
    ("pyarrow.lib", "Table"): _table_html,
    ("unbug.detect.engine", "Diagnosis"): _diagnosis_html,
    ("unbug.store.tabular", "Tables"): _tables_html,
}
"""What has no HTML of its own, and gets one while the extension is loaded."""
