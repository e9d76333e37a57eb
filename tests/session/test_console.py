"""The program's streams are to it what its own were; what it prints is in the run."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from unbug.session.console import MAX_BYTES, Stream

LOOK = """
import io, os, subprocess, sys

for name in ("stdout", "stderr"):
    stream = getattr(sys, name)
    facts = (
        type(stream).__name__, type(stream).__module__, stream.name, stream.mode, stream.encoding,
        stream.errors,
        stream.line_buffering, stream.write_through, stream.newlines, stream.isatty(),
        stream.fileno(), stream.writable(), stream.readable(), stream.seekable(),
        stream.buffer.name, stream.buffer.mode,
        stream is getattr(sys, f"__{name}__"), type(stream.buffer).__name__, repr(stream),
        type(getattr(stream.buffer, "raw", stream.buffer)).__name__,
    )
    print(facts)
sys.stdout.buffer.write("bytes ünï\\n".encode()); sys.stdout.buffer.flush()
print("to stderr", file=sys.stderr)
os.write(1, b"")
print("a\\r\\nb", end="\\n")
sys.stdout.flush()
subprocess.run([sys.executable, "-c", "print('from a child')"])
print("last words without a newline", end="")
"""


@pytest.mark.parametrize("options", [(), ("-u",), ("-X", "utf8"), ("-W", "error")])
def test_streams_look_as_under_python(place, options):
    name = place.write(LOOK)
    bare = place.python(*options, name)
    watched = place.python(*options, "-m", "unbug", "run", "--quiet", name)
    assert watched.stdout == bare.stdout
    assert watched.stderr == bare.stderr
    assert "bytes ünï\n" in place.console()
    assert "last words without a newline" in place.console()
    assert place.console("stderr") == "to stderr\n"


@pytest.mark.parametrize("encoding", ["latin-1", "ascii:backslashreplace", "utf-16"])
def test_encoding_is_the_programs(place, encoding):
    name = place.write("print('ünï')\n")
    environment = {"PYTHONIOENCODING": encoding}
    printed = []
    for words in ([name], ["-m", "unbug", "run", "--quiet", name]):
        with place.start(*words, env=environment) as child:
            child.stdout.reconfigure(errors="surrogateescape")
            printed.append(child.communicate()[0])
    assert printed[0] == printed[1] != ""


def test_a_program_that_replaces_or_closes_its_streams(place):
    done = place.recorded(
        """
        import contextlib, io, sys
        held = io.StringIO()
        with contextlib.redirect_stdout(held):
            print("redirected")
        print("seen", held.getvalue().strip())
        sys.stdout = open("elsewhere", "w")
        print("in a file")
        sys.stdout.close()
        sys.stderr.close()
        """,
        options=("--quiet",),
    )
    assert done.stdout == "seen redirected\n"
    assert (place.folder / "elsewhere").read_text() == "in a file\n"
    assert place.console() == "seen redirected\n"


FAILING = {
    "few lines": "print('a')",
    "many lines": "for number in range(100_000): print(number)",
    "caught": """
        import traceback
        try:
            for number in range(100_000): print(number)
        except OSError:
            traceback.print_exc()
        """,
    "detached": "import sys; sys.stdout.detach()",
    "closed": "import sys; print('x'); sys.stdout.close()",
    "raises": "print('a'); raise ValueError('b')",
}


@pytest.mark.parametrize("buffered", ["", "-u"])
@pytest.mark.parametrize("into", ["a closed pipe", "a full disk"])
@pytest.mark.parametrize("text", FAILING.values(), ids=FAILING)
def test_output_that_fails_ends_the_program_as_under_python(place, text, into, buffered):
    name = place.write(text)
    ends = []
    for words in ([name], ["-m", "unbug", "run", "--quiet", name]):
        if into == "a full disk":
            out = os.open("/dev/full", os.O_WRONLY)
        else:
            reader, out = os.pipe()
            os.close(reader)
        done = subprocess.run(
            [sys.executable, *([buffered] if buffered else []), *words],
            cwd=place.folder, env=place.environment(), stdout=out, stderr=subprocess.PIPE, text=True,
            timeout=60,
        )  # fmt: skip
        os.close(out)
        ends.append((done.returncode, done.stderr))
    assert ends[0] == ends[1]
    assert "session/console" not in ends[1][1]


def test_progress_bars_collapse_and_much_output_is_bounded(place):
    place.recorded(
        """
        import sys
        for percent in range(101):
            sys.stdout.write(f"\\r{percent} %")
            sys.stdout.flush()
        print()
        for number in range(800_000):
            print("a line of noise", number)
        """,
        options=("--quiet",),
    )
    text = place.console()
    assert text.startswith("100 %\na line of noise 0\n")
    with place.open() as view:
        unseen = view.events("coverage")[-1].fields["unseen"]
    assert any("of stdout are not kept" in line for line in unseen)
    assert len(text) <= MAX_BYTES


def test_a_stream_counts_what_it_drops():
    stream = Stream("stdout")
    for _ in range(100):
        stream.put(b"x" * 100_000)
    assert len(stream.take()) + stream.dropped == 10_000_000
    stream.put(b"y")
    assert stream.take() == b"y"


def test_a_forked_child_prints_and_is_not_kept(place):
    done = place.recorded(
        """
        import os, sys
        print("before")
        sys.stdout.flush()
        pid = os.fork()
        if pid == 0:
            print("in the child")
            sys.stdout.flush()
            os._exit(0)
        os.waitpid(pid, 0)
        print("after")
        """,
        options=("--quiet",),
    )
    assert done.stdout == "before\nin the child\nafter\n"
    assert place.console() == "before\nafter\n"


@pytest.mark.parametrize("how", ["hash", "off"])
def test_console_may_be_kept_out(place, how):
    place.recorded("print('private words')", options=("--quiet",), env={"UNBUG_PRIVACY_CONSOLE": how})
    with place.open() as view:
        fields = [event.fields for event in view.events("console")]
        everything = b"".join(path.read_bytes() for path in view.path.rglob("*") if path.is_file())
    assert b"private words" not in everything.replace(b"print('private words')", b"")
    if how == "off":
        assert fields == []
    else:
        assert [set(one) for one in fields] == [{"stream", "sha256", "size_bytes"}] * 2
