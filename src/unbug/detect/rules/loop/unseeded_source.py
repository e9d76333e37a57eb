"""A seed is set, and numbers are drawn from a source that it does not reach.

Why it matters: two runs with the same seed differ, though the program says that they do not: what is compared
    or tuned is compared with chance, and a failure cannot be repeated.
How it decides: torch was seeded, and by the end numbers had been drawn from the global generator of Python or
    NumPy, which was never seeded, in a program whose own lines draw from it; or a line of the program makes a
    generator without a seed, or one from the clock.
When it is wrong: chance that is wanted only there, such as a name for a folder.
What to do: seed every source that is drawn from: `random.seed(0)`, `np.random.seed(0)`,
    `np.random.default_rng(0)`, `random_state=0`.
Source: PyTorch documentation, "Reproducibility"; scikit-learn glossary on `random_state`.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from unbug.detect.contract import (
    Bilingual,
    Event,
    Finding,
    Severity,
    Source,
    Window,
    detector,
    event,
    facts_evidence,
    fires,
    silent,
    threshold,
)

_DRAWS = {
    "python": r"(?<![\w.])random\.(random|randint|randrange|choices?|sample|shuffle|uniform|gauss|"
    r"normalvariate|betavariate|expovariate)\(",
    "numpy": r"(?<!\w)(np|numpy)\.random\.(?!seed|default_rng|RandomState|Generator|SeedSequence)[a-z_]+\(|"
    r"\b(train_test_split|KFold|ShuffleSplit|make_[a-z_]+|resample|shuffle)\(",
}
_MADE = (
    r"(?<!\w)(default_rng|RandomState|random\.Random)\(\s*\)|\bSystemRandom\(|"
    r"(seed|manual_seed|default_rng|RandomState|Random)\(\s*(int\()?\s*time\.(time|time_ns|perf_counter)|"
    r"\btorch\.seed\(\s*\)|\burandom\("
)


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    steps: int = threshold(1, unit="steps", low=1, high=10**6, why="a training was begun")


@detector(
    "T142",
    "unseeded-source",
    chinese="有未固定种子的随机来源",
    diagnoses=("nondeterminism",),
    events=("drawn", "source"),
    severity=Severity.WARNING,
    since="0.4",
    final=True,
    confidence=0.82,
)
def find(window: Window, at: Thresholds) -> Iterator[Finding]:
    drawn = window.events("drawn")
    if not drawn or window.steps < at.steps or not drawn[-1].fields.get("torch_seeded"):
        return
    unseeded = [str(one) for one in drawn[-1].fields.get("unseeded") or ()]
    found = [(name, _lines(window, _DRAWS[name])) for name in unseeded if name in _DRAWS]
    found = [(name, lines) for name, lines in found if lines]
    made = _lines(window, _MADE)
    if made:
        found.insert(0, ("own", made))
    if not found:
        return
    name, lines = found[0]
    last = max(window.steps - 1, 0)
    yield Finding(
        place="loop",
        message=Bilingual(
            "torch is seeded, but a generator is made without a fixed seed: two runs differ",
            "已为 torch 设置种子，但有一个生成器没有固定的种子：两次运行的结果会不同",
        )
        if name == "own"
        else Bilingual(
            f"torch is seeded, but numbers are drawn from the global generator of {name}, which is not: two "
            f"runs differ",
            f"已为 torch 设置种子，但程序从未设置种子的 {name} 全局生成器中抽取随机数：两次运行的结果会不同",
        ),
        advice=Bilingual(
            "give that generator a seed as well, before it is first drawn from",
            "在首次抽取之前也为该生成器设置种子",
        ),
        steps=(0, last),
        known_at=0,
        source=lines[0],
        evidence=(
            facts_evidence(
                window,
                "loop",
                (0, last),
                Bilingual("sources of chance", "随机来源"),
                drawn_from_without_a_seed=unseeded,
                lines=[one.line for one in lines],
            ),
        ),
    )


def _lines(window: Window, pattern: str) -> list[Source]:
    """Lines of the program that hold a pattern; a call that is given a seed of its own is none."""
    sought = re.compile(pattern)
    found = []
    for one in window.events("source"):
        file, text = one.fields.get("file"), one.fields.get("text")
        if isinstance(file, str) and isinstance(text, str):
            for number, line in enumerate(text.splitlines(), 1):
                code = line.partition("#")[0]
                if sought.search(code) and "random_state" not in code and "def " not in code:
                    found.append(Source(file=file, line=number))
    return found


def _drawn(*unseeded: str, torch_seeded: bool = True) -> Event:
    return event("drawn", torch_seeded=torch_seeded, unseeded=list(unseeded))


def _program(text: str) -> Event:
    return replace(event("source"), fields={"file": "t.py", "text": text})


_LOSS: dict[str, Any] = {"loss__value": {"loss": [1.0] * 5}}
_NUMPY = "torch.manual_seed(0)\nx = np.random.randn(9, 2)\n"
CASES = (
    fires("NumPy's numbers", place="loop", events=(_drawn("numpy"), _program(_NUMPY)), **_LOSS),
    fires("a shuffle of Python", events=(_drawn("python"), _program("random.shuffle(rows)")), **_LOSS),
    fires(
        "a split without a seed",
        events=(_drawn("numpy"), _program("a, b = train_test_split(x, test_size=0.2)")),
        **_LOSS,
    ),
    fires(
        "a generator without a seed", events=(_drawn(), _program("rng = np.random.default_rng()")), **_LOSS
    ),
    fires("seeded by the clock", events=(_drawn(), _program("g.manual_seed(int(time.time()))")), **_LOSS),
    silent("all are seeded", events=(_drawn(), _program(_NUMPY)), **_LOSS),
    silent("generators with seeds", events=(_drawn(), _program("rng = np.random.default_rng(3)")), **_LOSS),
    silent("drawn by a library alone", events=(_drawn("python"), _program("net(x)")), **_LOSS),
    silent(
        "nothing is seeded: D114 speaks",
        events=(_drawn("numpy", torch_seeded=False), _program(_NUMPY)),
        **_LOSS,
    ),
    silent(
        "a split with its own seed",
        events=(_drawn("numpy"), _program("a, b = train_test_split(x, random_state=0)")),
        **_LOSS,
    ),
)
