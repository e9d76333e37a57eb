"""Pictures of terminals: what a real terminal would show, nothing fetched from elsewhere."""

from __future__ import annotations

import re
import sys

from tools import picture


def test_a_command_sees_a_terminal_of_the_asked_width():
    program = "import os, sys; print(sys.stdout.isatty(), os.get_terminal_size().columns); sys.exit(3)"
    code, printed = picture.record([sys.executable, "-c", program], columns=77)
    assert code == 3
    assert printed.split() == ["True", "77"]


def test_progress_leaves_only_its_last_state():
    assert picture.settled("epoch 1\repoch 2\r\ndone\r\n") == "epoch 2\ndone"
    assert picture.settled("bar 1\nbar 2\n\x1b[2A\x1b[2Kend\n") == "end"
    assert picture.settled("\x1b[?25lhidden cursor\x1b[?25h") == "hidden cursor"


def test_the_picture_holds_text_and_colour_and_fetches_nothing():
    svg = picture.draw("\x1b[31mred\x1b[0m plain", title="$ it", columns=40)
    assert "red" in svg and "plain" in svg
    links = set(re.findall(r"https?://[^\"') ]+", svg)) - {
        "http://www.w3.org/2000/svg",
        "https://www.textualize.io",
    }
    assert links == set()
    assert "url(" not in svg.replace("url(#", "")
