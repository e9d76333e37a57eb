"""Run a command in a real terminal and draw what it printed: `picture.py OUT.svg -- COMMAND …`.

The command runs in a pseudo-terminal of fixed size; its bytes, colours included, are drawn by rich. Nothing
is edited; with `--only-last N` the picture holds the last N lines.
"""

from __future__ import annotations

import argparse
import fcntl
import io
import os
import pty
import re
import shlex
import struct
import sys
import termios
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import DIMMED_MONOKAI
from rich.text import Text


def record(command: list[str], *, columns: int, rows: int = 50) -> tuple[int, str]:
    """Run a command in a pseudo-terminal; returns its exit code and all it printed, escapes included."""
    child, terminal = pty.fork()
    if child == 0:
        size = {"COLUMNS": str(columns), "LINES": str(rows), "TERM": "xterm-256color"}
        os.execvpe(command[0], command, os.environ | size)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    printed = b""
    while True:
        try:
            chunk = os.read(terminal, 65536)
        except OSError:  # Linux says so when the child closed the terminal
            break
        if not chunk:
            break
        printed += chunk
    os.close(terminal)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status), printed.decode("utf-8", "replace")


def settled(printed: str) -> str:
    """What stands on the screen in the end: returns and erased lines (progress bars) are carried out."""
    screen: list[str] = [""]
    for part in re.split(r"(\r\n|\n|\r|\x1b\[\d*[AK])", printed):
        if part in ("\r\n", "\n"):
            screen.append("")
        elif part == "\r" or re.fullmatch(r"\x1b\[[02]?K", part):
            screen[-1] = ""
        elif re.fullmatch(r"\x1b\[\d*A", part):
            lines = int(part[2:-1] or 1)
            del screen[max(1, len(screen) - lines) :]
        else:
            screen[-1] += re.sub(r"\x1b\[\?\d+[hl]", "", part)
    return "\n".join(screen).strip("\n")


def draw(text: str, *, title: str, columns: int) -> str:
    """An SVG of a terminal window that shows this text."""
    console = Console(
        record=True, width=columns, file=io.StringIO(), force_terminal=True, color_system="truecolor"
    )  # fmt: skip
    console.print(Text.from_ansi(text), highlight=False)
    svg = console.export_svg(title=title, theme=DIMMED_MONOKAI, unique_id="unbug")
    # The font is one of the reader's machine; rich's own would be fetched from elsewhere.
    return re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.S)


def main() -> int:
    parser = argparse.ArgumentParser(description="Draw a terminal that runs a command.")
    parser.add_argument("out", type=Path)
    parser.add_argument("--columns", type=int, default=104)
    parser.add_argument("--shown", default="", help="the command line as the picture shows it")
    parser.add_argument("--only-last", type=int, default=0, metavar="N")
    parser.add_argument("command", nargs="+")
    given = parser.parse_args()
    code, printed = record(given.command, columns=given.columns)
    lines = settled(printed).splitlines()
    shown = given.shown or shlex.join(given.command)
    text = "\n".join([f"\x1b[1m$ {shown}\x1b[0m", *lines[-given.only_last :]])
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(draw(text, title=shown, columns=given.columns), encoding="utf-8")
    print(f"{given.out}: {len(lines)} lines, exit code {code}")
    return code


if __name__ == "__main__":
    sys.exit(main())
