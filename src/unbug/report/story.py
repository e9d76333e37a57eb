"""Findings as stories: what happened first, what followed from it, who else says so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath

from unbug.report.words import sentence
from unbug.types import Bilingual, Finding, chinese

__all__ = ["Story", "stories", "story_text"]


@dataclass(frozen=True, kw_only=True)
class Story:
    """One fault and all that it explains.

    Args:
        root: What to fix.
        then: What followed, in order of time.
        also: Findings of other rules that tell the same fault.
        trainings: Numbers of the trainings that have it.
    """

    root: Finding
    then: tuple[Finding, ...] = ()
    also: tuple[Finding, ...] = ()
    trainings: tuple[int, ...] = ()


def stories(findings: Sequence[Finding]) -> list[Story]:
    """One for each alert, in the order of the findings."""
    by_id = {finding.id: finding for finding in findings}
    return [_story(finding, by_id) for finding in findings if finding.is_alert]


def _story(root: Finding, by_id: dict[str, Finding]) -> Story:
    same = [finding for finding in by_id.values() if finding.same_as == root.id]
    then: dict[str, Finding] = {}
    left = list(root.causes)
    while left:
        one = left.pop()
        if one in by_id and one not in then and one != root.id:
            then[one] = by_id[one]
            left += by_id[one].causes
    return Story(
        root=root,
        then=tuple(sorted(then.values(), key=lambda one: (one.steps[0], one.known_at, one.id))),
        also=tuple(one for one in same if one.rule != root.rule),
        trainings=tuple(sorted({root.training, *(one.training for one in same if one.rule == root.rule)})),
    )


def story_text(story: Story) -> Bilingual:
    """The story in a few sentences: what happened, since when, what followed, what to change and where."""
    root = story.root
    since = (
        Bilingual(f"Since step {root.steps[0]:,}", f"自第 {root.steps[0]:,} 步起")
        if root.training >= 0
        else Bilingual("In this run", "在本次运行中")
    )
    text = since + Bilingual(f": {sentence(str(root.message))}", f"：{sentence(chinese(root.message))}")
    if story.then:
        followed = [
            Bilingual(f"{one.name} at step {one.steps[0]:,}", f"第 {one.steps[0]:,} 步 {chinese(one.name)}")
            for one in story.then
        ]
        text += Bilingual(
            f" From it followed {', then '.join(map(str, followed))}.",
            f"由此依次引起：{'、'.join(map(chinese, followed))}。",
        )
    if story.also:
        names = [one.name for one in story.also]
        text += Bilingual(
            f" {', '.join(map(str, names))} say{'s' if len(names) == 1 else ''} the same.",
            f"{'、'.join(map(chinese, names))} 所指相同。",
        )
    where = Bilingual()
    if root.source is not None:
        at = f"{PurePath(root.source.file).name}:{root.source.line}"
        where = Bilingual(f" at {at}", f"（{at}）")
    return text + Bilingual(
        f" To change{where}: {sentence(str(root.advice))}",
        f"怎么办{where.zh}：{sentence(chinese(root.advice))}",
    )
