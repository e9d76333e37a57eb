"""Run a program in this process as `python` would.

The program gets a `__main__` of its own that stays in `sys.modules`, its own `sys.argv`, `sys.orig_argv` and
`sys.path[0]`; what it does not catch is shown by its own `sys.excepthook`, with a traceback that begins in
the program. What cannot be hidden from it: the stack below its first frame has a few frames more.
"""

# ruff: noqa: PTH109, PTH120, PTH123
# what `python` does is told in terms of os.path

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from importlib.machinery import SourceFileLoader, SourcelessFileLoader
from types import CodeType, ModuleType, TracebackType
from typing import NoReturn

from unbug.hooks.program import Program, ProgramEnd

__all__ = ["run_program"]

_kept: list[ModuleType] = []  # the module that was `__main__` before; functions of it are still on the stack


def run_program(program: Program, *, before_exit: Callable[[ProgramEnd], int | None]) -> None:
    """Run the program, then call `before_exit`, then end as the program did.

    Args:
        before_exit: Called once in this process (never in a forked child), after the program's last words. It
            may give an exit code, which is used if the program's own is 0 or it was interrupted. If threads
            of the program are still at work, it is called when they are done, while the interpreter shuts
            down and no thread can begin.
    Raises:
        SystemExit: the program ended with an exit code, or failed (1). It is to be let through.
        KeyboardInterrupt: the program was interrupted; its traceback has been shown. To be let through, so
        that
            the process ends by the signal as `python` does.
    """
    finish = _Finish(before_exit)
    _make_argv(program)
    try:
        if program.kind == "script":
            _run_script(program)
        else:
            _run_module(program)
    except SystemExit as exit_:
        status = _exit_code(exit_)
        finish(ProgramEnd(state="finished" if status == 0 else "failed", exit_code=status))
        if finish.code is None:
            raise SystemExit(exit_.code if isinstance(exit_.code, int) else status) from None
        raise SystemExit(finish.code) from None
    except BaseException as error:
        error.__traceback__ = _without_own_frames(error.__traceback__)
        code = _show(error)
        interrupted = isinstance(error, KeyboardInterrupt) and code is None
        status = 128 + signal.SIGINT if interrupted else 1 if code is None else code
        finish(ProgramEnd(state="interrupted" if interrupted else "failed", exit_code=status, error=error))
        if interrupted and finish.code is None:
            finish.interrupted = True
            _raise_silently(error)
        raise SystemExit(status if finish.code is None else finish.code) from None
    finish(ProgramEnd(state="finished", exit_code=0))
    if finish.code is not None:
        raise SystemExit(finish.code)


class _Finish:
    """Calls `before_exit` once: now or, while the program's threads run, when the interpreter shuts down."""

    def __init__(self, before_exit: Callable[[ProgramEnd], int | None]) -> None:
        self.code: int | None = None
        self.interrupted = False
        self._before_exit = before_exit
        self._process = os.getpid()
        atexit.register(self._last)  # registered first, so called last

    def __call__(self, end: ProgramEnd) -> None:
        if os.getpid() != self._process:
            return
        for stream in (sys.stdout, sys.stderr):
            _flush(stream)
        main = threading.main_thread()
        if any(thread is not main and not thread.daemon for thread in threading.enumerate()):
            late = ProgramEnd(state=end.state, exit_code=end.exit_code, error=end.error, late=True)
            atexit.register(self._late, late)
        else:
            self._finish(end)

    def _finish(self, end: ProgramEnd) -> None:
        try:
            code = self._before_exit(end)
        except KeyboardInterrupt:
            print("unbug: interrupted while finishing; what was recorded so far is kept", file=sys.stderr)
        except Exception:
            print(f"unbug: could not finish the run: {traceback.format_exc()}", file=sys.stderr)
        else:
            self.code = code if code and (end.exit_code == 0 or end.state == "interrupted") else None

    def _late(self, end: ProgramEnd) -> None:
        if os.getpid() == self._process:
            self._finish(end)
            self._forced = self.code

    _forced: int | None = None

    def _last(self) -> None:
        if self.interrupted and os.getpid() == self._process:
            _end_by_signal()
        if self._forced is not None and os.getpid() == self._process:
            for stream in (sys.stdout, sys.stderr):
                _flush(stream)
            os._exit(self._forced)  # nothing else can change the exit code here


def _end_by_signal() -> None:
    """Have the interpreter end by SIGINT. It noted that an interrupt was not caught, but forgets this when
    another thread, such as a diagnosis that is late, executes a text; so it comes to note it again."""
    with suppress(KeyboardInterrupt):
        exec("raise KeyboardInterrupt")


def _flush(stream: object) -> None:
    try:
        stream.flush()  # type: ignore[attr-defined]
    except Exception:
        return  # closed, or gone: the interpreter says so itself, if it must


def _make_argv(program: Program) -> None:
    sys.argv = [program.name if program.kind != "module" else "-m", *program.arguments]
    option = ["-m"] if program.kind == "module" else []
    flags = _interpreter_options(sys.orig_argv[1:])
    sys.orig_argv = [*sys.orig_argv[:1], *flags, *option, program.name, *program.arguments]


def _interpreter_options(given: list[str]) -> list[str]:
    """Of `python OPTIONS -m unbug run …` or `python OPTIONS unbug run …`, the options."""
    options: list[str] = []
    words = iter(given)
    for word in words:
        if not word.startswith("-") or word in ("-m", "-c", "-"):
            break
        options.append(word)
        if word in ("-W", "-X", "--check-hash-based-pycs"):
            options.append(next(words, ""))
    return options


def _new_main() -> ModuleType:
    previous, main = sys.modules["__main__"], ModuleType("__main__")
    _kept.append(previous)
    vars(main).update(__annotations__={}, __builtins__=sys.modules["builtins"])
    sys.modules["__main__"] = main
    return main


def _set_first_path(path: str) -> None:
    if not sys.flags.safe_path:
        sys.path[0:1] = [path]


def _run_script(program: Program) -> None:
    _set_first_path(os.path.dirname(os.path.realpath(program.path)))
    main = _new_main()
    compiled = program.path.endswith(".pyc")
    loader = (SourcelessFileLoader if compiled else SourceFileLoader)("__main__", program.path)
    vars(main).update(__loader__=loader, __file__=program.path, __cached__=None)
    code = loader.get_code("__main__") if compiled else _compile(program.path)
    assert isinstance(code, CodeType)
    exec(code, vars(main))


def _compile(path: str) -> CodeType:
    with open(path, "rb") as file:
        source = file.read()
    try:
        return compile(source, path, "exec", dont_inherit=True)
    except SyntaxError as error:
        raise _as_of_a_file(error, source, path) from None


def _as_of_a_file(error: SyntaxError, source: bytes, path: str) -> SyntaxError:
    """What `python` says where it reads a file: of encodings and null bytes `compile` says other things."""
    said = error.msg
    if said.startswith("unknown encoding: "):
        return SyntaxError("encoding problem: " + said.partition(": ")[2])
    for number, line in enumerate(source.split(b"\n"), 1):
        if b"\0" in line and "null bytes" in said:
            text = line.partition(b"\0")[0].decode(errors="replace")
            return SyntaxError("source code cannot contain null bytes", (path, number, 0, text))
        if said.startswith("(unicode error) 'utf-8'"):
            try:
                line.decode()
            except UnicodeDecodeError as bad:
                return SyntaxError(
                    f"Non-UTF-8 code starting with '\\x{line[bad.start]:02x}' in file {path} on line "
                    f"{number}, but no encoding declared; see https://peps.python.org/pep-0263/ for details"
                )
    return error


def _run_module(program: Program) -> None:
    import runpy

    if program.kind == "module":
        _set_first_path(os.getcwd())
    else:
        sys.path[0 : 0 if sys.flags.safe_path else 1] = [program.path]
    _new_main()
    name = program.name if program.kind == "module" else "__main__"
    runpy._run_module_as_main(name, alter_argv=program.kind == "module")  # type: ignore[attr-defined]


def _without_own_frames(trace: TracebackType | None) -> TracebackType | None:
    while trace is not None and trace.tb_frame.f_code.co_filename == __file__:
        trace = trace.tb_next
    return trace


def _exit_code(exit_: SystemExit) -> int:
    """The status that the process will end with; what is no number is shown, as by `python`, and means 1."""
    code = exit_.code
    if code is None:
        return 0
    if isinstance(code, int):
        return code & 0xFF
    _flush(sys.stdout)
    print(code, file=sys.stderr)
    return 1


def _show(error: BaseException) -> int | None:
    """Show it by the program's own hook, as the interpreter does; the code if that hook exits."""
    kind, trace = type(error), error.__traceback__
    sys.last_type, sys.last_value, sys.last_traceback = kind, error, trace
    if sys.version_info >= (3, 12):
        sys.last_exc = error
    try:
        sys.excepthook(kind, error, trace)
    except SystemExit as exit_:
        return _exit_code(exit_)
    except BaseException as failure:
        failure.__traceback__ = _without_own_frames(failure.__traceback__)
        failure.__context__ = None
        print("Error in sys.excepthook:", file=sys.stderr)
        sys.__excepthook__(type(failure), failure, failure.__traceback__)
        print("\nOriginal exception was:", file=sys.stderr)
        sys.__excepthook__(kind, error, trace)
    return None


def _raise_silently(error: BaseException) -> NoReturn:
    """Let it go up to the interpreter, which ends the process by the signal; it has been shown already."""
    hook = sys.excepthook

    def silent(kind: type[BaseException], value: BaseException, trace: TracebackType | None) -> None:
        sys.excepthook = hook
        value.__traceback__ = _without_own_frames(trace)

    sys.excepthook = silent
    raise error
