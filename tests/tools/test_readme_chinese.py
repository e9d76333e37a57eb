"""README.zh-CN.md is in step with README.md: same structure, same commands, same links, same figures."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

REPO = Path(__file__).parent.parent.parent
ENGLISH = (REPO / "README.md").read_text(encoding="utf-8")
CHINESE = (REPO / "README.zh-CN.md").read_text(encoding="utf-8")
FENCE = re.compile(r"^```[^\n]*\n(.*?)^```", re.M | re.S)
LINK = re.compile(r"!?\[[^\]]*\]\(([^)]+)\)")
NUMBER = re.compile(r"(\d[\d,]*(?:\.\d+)?)(?:\s*(million\b|万))?")
SCALES = {"": 1, "million": 10**6, "万": 10**4}
MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
          "November", "December")  # fmt: skip


def outline(text: str) -> list[str]:
    """Kind of each block in order: headings by level, tables by rows and columns, lists by items, code."""
    found, blocks = [], re.split(r"\n\s*\n", FENCE.sub("CODE\n", text))
    for block in blocks:
        lines = [line for line in block.strip().splitlines() if not line.startswith("<!--")]
        if not lines:
            continue
        if lines[0].startswith("#"):
            found.append("heading " + str(len(lines[0]) - len(lines[0].lstrip("#"))))
        elif "|" in lines[-1]:
            rows = [line for line in lines if line.startswith("|")]
            found.append(f"table {len(rows)} x {rows[0].count('|')}")
        elif lines[0].startswith("- "):
            found.append(f"list of {sum(line.startswith('- ') for line in lines)}")
        elif lines[0].startswith("!["):
            found.append("picture")
        else:
            found.append("code" if lines == ["CODE"] else "text")
    return found


def numbers(text: str) -> list[float]:
    for number, month in enumerate(MONTHS, 1):
        text = text.replace(f"{month} 20", f"{number} 20")
    text = FENCE.sub("", re.sub(r"`[^`]*`", "", text))
    return sorted(float(digits.replace(",", "")) * SCALES[scale] for digits, scale in NUMBER.findall(text))


def commands(text: str) -> list[str]:
    """Code within lines; a list of several is several."""
    return sorted(re.findall(r"`([^`\n]+)`", FENCE.sub("", text)))


def code(text: str) -> list[str]:
    """What is typed in the blocks of code, without remarks in the shell ones."""
    return [
        re.sub(r"\s+# .*", "", block) if "import" not in block else block for block in FENCE.findall(text)
    ]


def section(text: str, number: int) -> str:
    return re.split(r"^#{1,2} ", text, flags=re.M)[number]


def test_structure():
    assert outline(CHINESE) == outline(ENGLISH)


SECTIONS = range(1, len(re.split(r"^#{1,2} ", ENGLISH, flags=re.M)))


@pytest.mark.parametrize("number", SECTIONS)
def test_figures(number):
    assert numbers(section(CHINESE, number)) == numbers(section(ENGLISH, number))


@pytest.mark.parametrize("number", SECTIONS)
def test_commands(number):
    assert commands(section(CHINESE, number)) == commands(section(ENGLISH, number))


def test_code():
    assert code(CHINESE) == code(ENGLISH)


def test_links():
    other = {"README.md": "README.zh-CN.md"}
    assert [other.get(link, link) for link in LINK.findall(CHINESE)] == LINK.findall(ENGLISH)
    for link in LINK.findall(CHINESE):
        assert (REPO / link).exists(), link


def test_it_is_chinese():
    """Each block of prose but the code."""
    for block in re.split(r"\n\s*\n", FENCE.sub("", CHINESE)):
        prose = re.sub(r"`[^`]*`|<!--.*?-->|[#|\-\s]", "", block, flags=re.S)
        if prose and prose != "unbug":
            assert re.search(r"[\u4e00-\u9fff]", prose), block
