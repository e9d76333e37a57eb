"""The frame that a call is put down to."""

from __future__ import annotations

import json
from types import CodeType
from typing import Any

from unbug.hooks import user_frame


def here() -> object:
    return user_frame()


def test_the_innermost_frame_of_the_user() -> None:
    frame = here()
    assert frame is not None
    assert (frame.file, frame.function) == (__file__, "here")
    assert frame.line == here.__code__.co_firstlineno + 1


def test_frames_of_libraries_are_passed_over() -> None:
    found = json.loads("{}", object_hook=lambda _: user_frame())
    assert found.function == "test_frames_of_libraries_are_passed_over.<locals>.<lambda>"
    library = compile("def call(f): return f()", "/somewhere/site-packages/lib.py", "exec")
    scope: dict[str, Any] = {}
    exec(library, scope)
    outside = scope["call"](user_frame)
    assert outside.function == "test_frames_of_libraries_are_passed_over"


def test_an_installed_program_is_found_by_its_main() -> None:
    scope = {"user_frame": user_frame, "__name__": "__main__"}
    inner = compile("def f(): return user_frame(1)\nseen = f()", "/somewhere/site-packages/app.py", "exec")
    library = compile("exec(inner, scope)", "/somewhere/dist-packages/lib.py", "exec")
    assert isinstance(inner, CodeType)
    exec(library, {"inner": inner, "scope": scope})
    found = scope["seen"]
    assert found is not None  # this test is the user here; without it, the main module would be
    assert found.file == __file__


def test_the_same_line_is_the_same_record() -> None:
    first, second = (here() for _ in range(2))
    assert first is second


def test_generated_code_is_nobodys() -> None:
    scope = {"user_frame": user_frame}
    for name, owner in (
        ("<eval_with_key>.3", __file__),
        ("<frozen x>", __file__),
        ("<ipython-input-3>", None),
    ):
        exec(compile("seen = user_frame()", name, "exec"), scope)
        assert scope["seen"].file == (owner or name)  # type: ignore[attr-defined]
