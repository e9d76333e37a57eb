"""A checkpoint was loaded, and much of the model did not get its weights from it.

Why it matters: with `strict=False` what does not fit is left out in silence; those layers stay random, and
    the run starts from scratch while it seems to go on.
How it decides: the model lacks or the file lacks names, or shapes differ, and less than `share` of the
    model's names were found in the file: an error. Where more was found it is a note: a new head is fine.
When it is wrong: a backbone that is loaded into a much larger model on purpose.
What to do: look at the names: a prefix such as `module.` or `model.` is added or taken away most often. Load
    with `strict=True`, or test the returned `missing_keys`.
Source: PyTorch documentation of `Module.load_state_dict`; the share is ours.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
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
    named,
    silent,
    threshold,
)


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    share: float = threshold(
        0.5, unit="of the model's names", low=0.0, high=1.0, why="a new head leaves most of a model"
    )


@detector(
    "M106",
    "weights-not-loaded",
    chinese="权重没有载入",
    diagnoses=("weights-not-loaded",),
    events=("checkpoint",),
    severity=Severity.ERROR,
    since="0.2",
    confidence=0.9,
)
def find(window: Window, at: Thresholds) -> Iterator[Finding]:
    told = set()
    for seen in window.events("checkpoint"):
        fields = seen.fields
        if fields.get("action") != "loaded" or fields.get("what") != "model" or fields.get("error"):
            continue
        missing, unexpected, mismatched = (
            int(fields.get(f"{name}_count") or 0) for name in ("missing", "unexpected", "mismatched")
        )
        there = int(fields.get("tensors") or 0)
        left = missing + mismatched
        wanted = max(there - unexpected, 0) + missing
        key = fields.get("path"), fields.get("into"), left, unexpected
        if not left or not wanted or key in told:
            continue
        told.add(key)
        share = max(wanted - left, 0) / wanted
        into, file = str(fields.get("into") or "the model"), str(fields.get("path") or "")
        names = [str(one) for one in fields.get("missing") or ()] or [
            str(one.get("name")) for one in fields.get("mismatched") or () if isinstance(one, Mapping)
        ]
        prefix = _prefix(fields.get("missing") or (), fields.get("unexpected") or ())
        source, line = fields.get("file"), fields.get("line")
        of = Bilingual(f" from {file}", f"（来自 {file}）") if file else Bilingual()
        yield Finding(
            place=into,
            message=Bilingual(
                f"{left} of {wanted} parameters of {into} were not loaded{of}: {named(names)}",
                f"{into} 的 {wanted} 个参数中有 {left} 个没有载入{of.zh}：{named(names).zh}",
            ),
            advice=Bilingual(
                f"the names differ by the prefix {prefix!r}: take it away or put it in front before loading",
                f"名称只差前缀 {prefix!r}：载入前去掉或加上它",
            )
            if prefix
            else Bilingual(
                "compare the names in the file with those of the model, and load with strict=True",
                "对照文件与模型中的名称，并用 strict=True 载入",
            ),
            severity=None if share < at.share else Severity.NOTE,
            steps=(max(seen.step, 0),) * 2,
            known_at=max(seen.step, 0),
            source=Source(file=str(source), line=int(line)) if source and line else None,
            evidence=(
                facts_evidence(
                    window,
                    into,
                    (max(seen.step, 0),) * 2,
                    Bilingual("what was loaded", "载入的内容"),
                    into=into,
                    path=file,
                    tensors_in_the_file=there,
                    missing=list(fields.get("missing") or ())[:10],
                    unexpected=list(fields.get("unexpected") or ())[:10],
                ),
            ),
        )


def _prefix(missing: Sequence[Any], unexpected: Sequence[Any]) -> str:
    """What one of the two has in front of the other's names; empty if that is not how they differ."""
    if not missing or not unexpected:
        return ""
    for mine, theirs in ((set(missing), set(unexpected)), (set(unexpected), set(missing))):
        for name in sorted(map(str, theirs))[:5]:
            for other in sorted(map(str, mine))[:200]:
                prefix = name[: -len(other)]
                if (
                    name.endswith(other)
                    and prefix.endswith(".")
                    and any(prefix + str(o) in theirs for o in mine)
                ):
                    return prefix
    return ""


def _load(missing: list[str], unexpected: list[str], tensors: int, **fields: Any) -> Event:
    given: dict[str, Any] = {
        "action": "loaded",
        "what": "model",
        "into": "Net",
        "path": "/out/best.pt",
        "tensors": tensors,
        "missing": missing,
        "unexpected": unexpected,
        "missing_count": len(missing),
        "unexpected_count": len(unexpected),
        "mismatched_count": 0,
    }
    return event("checkpoint", step=-1, **given | fields)


CASES = (
    fires(
        "a prefix makes all names differ",
        severity=Severity.ERROR,
        events=(_load(["a.weight", "b.weight"], ["module.a.weight", "module.b.weight"], 2),),
    ),
    fires("a new head", severity=Severity.NOTE, events=(_load(["head.weight"], ["fc.weight"], 10),)),
    fires(
        "shapes differ",
        severity=Severity.ERROR,
        events=(_load([], [], 1, mismatched=[{"name": "a.weight"}], mismatched_count=1),),
    ),
    silent("all of it", events=(_load([], [], 10),)),
    silent("more in the file than the model wants", events=(_load([], ["ema.weight"], 10),)),
    silent("it failed, and the program knows", events=(_load(["a"], ["b"], 1, error="RuntimeError"),)),
    silent("an optimizer's state", events=(_load(["a"], [], 1, what="optimizer"),)),
)
