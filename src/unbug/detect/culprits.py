"""The line that a kind of fault is written in, where the program has only one that can be it.

What a rule sees is often another line than the one to change: a softmax shows at the loss, weights that are
all equal at the layer. Where one line of the program alone reads like the fault, that line is named.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from unbug.types import Finding, Source

__all__ = ["culprit"]

_PATTERNS = {
    "softmax-before-ce": r"(?<!log_)\bsoftmax\(|\bnn\.Softmax\(|\bSoftmax\(",
    "double-sigmoid": r"(?<!log)(?<!hard)\bsigmoid\(|\.sigmoid\(|\bSigmoid\(",
    "vanishing-gradient": r"\b(nn\.)?(Sigmoid|Tanh)\(|\b(torch|F|functional)\.(sigmoid|tanh)\(",
    "bad-init": r"\binit\.\w+_\(|\.(weight|bias)(\.data)?\.\w+_\(",
}
_EVALUATION = re.compile(r"\b(no_grad|inference_mode)\(\)|^\s*def \w*(eval|val|test)\w*\(")
_FAR, _TOGETHER = 15, 3


def culprit(finding: Finding, texts: Mapping[str, Sequence[str]]) -> Source | None:
    """The line to change, where the first class of a finding and the program's text leave only one, or the
    first of a few that stand together.

    Args:
        texts: Lines of each file of the program.
    """
    kind = finding.diagnoses[0] if finding.diagnoses else ""
    if kind == "train-mode-eval":
        return _before(finding.source, texts)
    if kind not in _PATTERNS:
        return None
    pattern = re.compile(_PATTERNS[kind])
    found = [
        Source(file=file, line=number)
        for file, lines in texts.items()
        for number, line in enumerate(lines, 1)
        if pattern.search(_code(line))
    ]
    first = found[0] if found else None
    apart = [one for one in found if first and (one.file != first.file or one.line > first.line + _TOGETHER)]
    return None if apart else first


def _before(source: Source | None, texts: Mapping[str, Sequence[str]]) -> Source | None:
    """Where the evaluation around a line begins: that is where the mode is to be changed."""
    lines = texts.get(source.file, ()) if source is not None else ()
    if source is None or not 0 < source.line <= len(lines):
        return None
    for number in range(source.line, max(source.line - _FAR, 0), -1):
        if _EVALUATION.search(_code(lines[number - 1])):
            return Source(file=source.file, line=number)
    return None


def _code(line: str) -> str:
    """Without its comment; nothing of a line that only imports or defines."""
    bare = line.partition("#")[0]
    return "" if re.match(r"\s*(import|from)\b", bare) else bare
