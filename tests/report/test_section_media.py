"""The last media on the page: shown, and harmless whatever they hold."""

from __future__ import annotations

import re
import time

import numpy as np
import pytest
import torch

import unbug
from tests.report.example import sick
from tests.report.test_fragment import parsed
from unbug.detect import diagnose
from unbug.report import html
from unbug.report.section_media import media_section
from unbug.store import open_reader

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    with unbug.run(dir=tmp_path_factory.mktemp("runs"), name="media", quiet=True) as run:
        for step in range(3):
            run.log({"batch": unbug.Image(torch.full((12, 1, 8, 8), step / 2.0), caption=HOSTILE)})
        run.log({HOSTILE: unbug.Text(HOSTILE, caption=HOSTILE), "sound": unbug.Audio(np.zeros(800), 8000)})
        run.log({"table": unbug.Table([{HOSTILE: HOSTILE, "n": 1.5}] * 20), "none": unbug.Table([])})
        run.log({"histogram": unbug.Histogram(np.arange(100.0)), "nan": unbug.Histogram([np.nan])})
        run.log({"spoilt": unbug.Image(np.array([[np.nan, 1.0]]))})
        run.log({"large": unbug.Image(np.random.default_rng(0).integers(0, 256, (1900, 1900, 3), np.uint8))})
        until = time.monotonic() + 60
        while run._recording.media._waiting and time.monotonic() < until:
            time.sleep(0.05)
    return run.path


@pytest.fixture(scope="module")
def page(run):
    reader = open_reader(run)
    yield html(reader, diagnose(reader))
    reader.close()


def section(page):
    start = page.rindex("<section>", 0, page.index("Logged media"))
    return page[start : page.index("</section>", start) + len("</section>")]


def test_the_last_of_each_name_is_shown(page):
    shown = section(page)
    assert shown.count("<img ") == 8 + 1
    assert "the last of 3" in shown and "and 4 more of the batch" in shown
    assert shown.count("<audio ") == 1
    assert "20 rows × 2 columns" in shown and shown.count("<tr>") == (1 + 8) + 1
    assert "1 pixels are NaN" in shown or "pixels are NaN or infinite (magenta)" in shown
    assert "no finite number" in shown and "<rect " in shown
    assert "too large for this page" in shown


def test_nothing_of_it_executes(page):
    assert "<script" not in page and "<img src=x" not in page
    assert "&lt;script&gt;" in section(page)
    attributes = {name for _, given in parsed(section(page)) for name in given}
    assert not {name for name in attributes if name.startswith("on")}
    sources = re.findall(r'src="([^"]{0,22})', section(page))
    assert sources and all(
        one.startswith(("data:image/png;base64", "data:audio/wav;base64")) for one in sources
    )
    assert "default-src 'none'; style-src 'unsafe-inline'; img-src data:; media-src data:" in page


def test_a_file_that_was_changed_is_said_and_not_shown(run, tmp_path):
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    for file in (copy / "media").iterdir():
        file.write_bytes(b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>")
    reader = open_reader(copy)
    shown = str(media_section(reader))
    reader.close()
    assert "is damaged" in shown
    assert "<img" not in shown and "<svg" not in shown and "<audio" not in shown


def test_a_run_without_media_has_no_section():
    reader = sick()
    assert media_section(reader) is None
    assert "Logged media" not in html(reader, diagnose(reader))
