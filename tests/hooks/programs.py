"""Small programs that show whether they run as under `python`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Case:
    """A program: what its files hold, and how it is called."""

    name: str
    source: str | bytes
    words: tuple[str, ...] = ("program.py",)
    options: tuple[str, ...] = ()
    stdin: str = ""
    files: tuple[tuple[str, str], ...] = ()


CASES = (
    Case(
        "identity of main",
        """
        import sys
        print(__name__, __file__, __spec__, __doc__, __package__, __cached__, __annotations__)
        print(list(globals()), type(__loader__), __builtins__, sys.argv, sys.orig_argv[1:], sys.path[0])
        print(sys.modules["__main__"].__dict__ is globals(), __loader__.name, __loader__.path)
        """,
        words=("program.py", "--dir", "x", "-m", "", "ü"),
    ),
    Case(
        "interpreter options",
        "import sys; print(sys.flags, sys.orig_argv[1:])",
        options=("-W", "error", "-X", "dev"),
    ),
    Case("safe path", "import sys; print(sys.path[0] != __file__, sys.path[0])", options=("-P",)),
    Case("neighbours can be imported", "import helper; print(helper.x)", files=(("helper.py", "x = 7"),)),
    Case("exit with nothing", "import sys; sys.exit()"),
    Case("exit 3", "import sys; sys.exit(3)"),
    Case("exit 300", "import sys; sys.exit(300)"),
    Case("exit -1", "import sys; sys.exit(-1)"),
    Case("exit True", "import sys; sys.exit(True)"),
    Case("exit with text", "import sys; print('out'); sys.exit('a reason')"),
    Case("exit with an object", "import sys; sys.exit([1, 2])"),
    Case(
        "raise SystemExit subclass",
        """
        class E(SystemExit): pass
        raise E(5)
        """,
    ),
    Case("os._exit", "import os; os._exit(9)"),
    Case("killed", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"),
    Case("terminated", "import os, signal; os.kill(os.getpid(), signal.SIGTERM)"),
    Case(
        "interrupted",
        """
        import os, signal
        def f():
            os.kill(os.getpid(), signal.SIGINT)
            import time; time.sleep(9)
        f()
        """,
    ),
    Case("raise KeyboardInterrupt", "raise KeyboardInterrupt('mine')"),
    Case(
        "interrupt is caught",
        """
        import _thread, time
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt: print('caught')
        """,
    ),
    Case(
        "uncaught",
        """
        def inner(x):
            return {"a": 1}[x] + 2

        def outer():
            inner("b")

        outer()
        """,
    ),
    Case(
        "uncaught chain",
        """
        def load():
            try:
                int("x")
            except ValueError as error:
                raise RuntimeError("while loading") from error

        try:
            load()
        except RuntimeError:
            raise KeyError("again")
        """,
    ),
    Case("uncaught group", "raise ExceptionGroup('many', [ValueError(1), TypeError(2)])"),
    Case(
        "uncaught base",
        """
        class Odd(BaseException): pass
        raise Odd('x')
        """,
    ),
    Case(
        "recursion",
        """
        def f(): return f()
        try: f()
        except RecursionError as e: print(e)
        """,
    ),
    Case(
        "syntax error",
        """
        def (:
          pass
        """,
    ),
    Case(
        "indentation error",
        """
        if 1:
        x = 2
        """,
    ),
    Case("null byte", b"x = 1\0\n"),
    Case("latin-1 declared", "# coding: latin-1\nprint('ä', ascii('ä'))".encode("latin-1")),
    Case("not utf-8", "x = 1\nprint('ä')".encode("latin-1")),
    Case("unknown encoding", b"# coding: klingon\nprint(1)"),
    Case("byte order mark", b"\xef\xbb\xbfprint('bom')"),
    Case("windows lines", b"x = 1\r\nprint(x)\r\n1 / 0\r\n"),
    Case("empty", ""),
    Case(
        "future",
        """
        from __future__ import annotations
        def f(x: nothing): pass
        print(f.__annotations__)
        """,
    ),
    Case(
        "no future is inherited",
        """
        def f(x: int): pass
        print(f.__annotations__)
        """,
    ),
    Case(
        "stdin",
        """
        import sys
        print(sys.stdin.read().upper(), input.__name__, sys.stdin.isatty())
        """,
        stdin="words\n",
    ),
    Case("input", "print('got', input('? '))", stdin="answer\n"),
    Case(
        "own excepthook",
        """
        import sys
        sys.excepthook = lambda *a: print('mine', a[0], a[2].tb_frame.f_code.co_name)
        1 / 0
        """,
    ),
    Case(
        "excepthook fails",
        """
        import sys
        def hook(*a): raise ValueError('in hook')
        sys.excepthook = hook
        1 / 0
        """,
    ),
    Case(
        "excepthook exits",
        """
        import sys
        def hook(*a): sys.exit(7)
        sys.excepthook = hook
        1 / 0
        """,
    ),
    Case("excepthook before", "import sys; print(sys.excepthook is sys.__excepthook__)"),
    Case(
        "last",
        """
        import sys, atexit
        atexit.register(lambda: print(sys.last_type, sys.last_traceback.tb_lineno))
        1 / 0
        """,
    ),
    Case(
        "atexit order",
        """
        import atexit
        for i in range(3): atexit.register(print, i)
        """,
    ),
    Case(
        "pickles of main in atexit",
        """
        import atexit, pickle
        class Thing: pass
        def f(): pass
        def again(x): return pickle.loads(pickle.dumps(x))
        atexit.register(lambda: print(type(again(Thing())), again(f) is f))
        """,
    ),
    Case(
        "source of main",
        """
        import dataclasses, inspect
        @dataclasses.dataclass
        class Point:
            x: "int" = 1
        print(inspect.getsource(Point), inspect.getfile(Point), Point(2), inspect.getmodule(Point))
        """,
    ),
    Case(
        "main guard",
        """
        def main(): print('main')
        if __name__ == '__main__': main()
        """,
    ),
    Case(
        "import main",
        """
        import __main__
        x = 5
        print(__main__.x)
        """,
    ),
    Case(
        "deleted with main",
        """
        class Loud:
            def __del__(self, say=print): say("gone")
        thing = Loud()
        """,
    ),
    Case(
        "thread outlives main",
        """
        import threading, time
        threading.Thread(target=lambda: (time.sleep(.2), print('thread'))).start()
        print('main')
        """,
    ),
    Case(
        "pool outlives main",
        """
        from concurrent.futures import ThreadPoolExecutor
        pool = ThreadPoolExecutor(2)
        print(list(pool.map(abs, [-1, -2])))
        """,
    ),
    Case(
        "thread fails",
        """
        import threading
        t = threading.Thread(target=lambda: 1 / 0, name='t'); t.start(); t.join()
        """,
    ),
    Case(
        "unraisable",
        """
        class A:
            def __del__(self): 1 / 0
        a = A(); del a
        """,
    ),
    Case(
        "stdout closed",
        """
        import sys
        print('x'); sys.stdout.close()
        """,
    ),
    Case(
        "forked child returns",
        """
        import os, sys
        pid = os.fork()
        if pid: os.waitpid(pid, 0)
        print('parent' if pid else 'child', flush=True)
        """,
    ),
    Case(
        "warning in main",
        """
        import warnings
        warnings.warn('careful')
        def f(): warnings.warn('deep', stacklevel=2)
        f()
        """,
    ),
    Case(
        "locals of a failing frame",
        """
        x = 1
        raise AttributeError('y', name='y', obj=x)
        """,
    ),
    *(
        Case(
            f"multiprocessing {method}",
            f"""
            import multiprocessing, sys
            class Thing:
                def __init__(self, x): self.x = x
            def work(thing): return thing.x * 2, __name__, type(thing).__module__
            if __name__ == "__main__":
                with multiprocessing.get_context("{method}").Pool(1) as pool:
                    print(pool.map(work, [Thing(1), Thing(2)]))
            """,
        )
        for method in ("fork", "spawn", "forkserver")
    ),
    Case(
        "module",
        "",
        words=("-m", "package.sub", "a"),
        files=(
            ("package/__init__.py", "import sys; print('init', sys.argv)"),
            (
                "package/sub.py",
                """
        import sys
        print(__name__, __spec__.name, __package__, __file__, sys.argv, sys.orig_argv[1:], sys.path[0])
        from . import other
        """,
            ),
            ("package/other.py", "import __main__; print(__main__.__spec__.name)"),
        ),
    ),
    Case(
        "module fails",
        "",
        words=("-m", "failing"),
        files=(
            (
                "failing.py",
                """
        def f(): 1 / 0
        f()
        """,
            ),
        ),
    ),
    Case("module with a syntax error", "", words=("-m", "broken"), files=(("broken.py", "def :"),)),
    Case("missing submodule", "", words=("-m", "package.none"), files=(("package/__init__.py", ""),)),
    Case(
        "package",
        "",
        words=("-m", "package", "x"),
        files=(
            ("package/__init__.py", ""),
            ("package/__main__.py", "import sys; print(__name__, __package__, sys.argv)"),
        ),
    ),
    Case("package without main", "", words=("-m", "package"), files=(("package/__init__.py", ""),)),
    Case("module of the library", "", words=("-m", "json.tool"), stdin="[1]"),
    Case(
        "folder",
        "",
        words=("folder", "x"),
        files=(
            (
                "folder/__main__.py",
                """
        import sys, near
        print(__file__, __spec__.name, __package__, sys.argv, sys.path[0], near.x)
        """,
            ),
            ("folder/near.py", "x = 3"),
        ),
    ),
    Case("archive", "", words=("archive.zip", "x"), files=(("archive.zip", ""),)),
)
