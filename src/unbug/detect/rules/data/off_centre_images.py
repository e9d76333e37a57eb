"""Images are given without their mean taken off.

Why it matters: inputs of one sign make the gradients of a neuron's weights point the same way; training is
    slower than with centred ones.
How it decides: inputs have channels, and the mean of a channel lies at least `offset` of its standard
    deviations off zero, with no normalisation as first layer. It is a note: most networks learn all the same.
When it is wrong: pictures with a dark ground, where the mean says little.
What to do: subtract the mean of the training data and divide by its standard deviation.
Source: LeCun et al. 1998, "Efficient BackProp", section 4.3; AWS, Amazon SageMaker Debugger, rule
    CheckInputImages, for the idea; the number is ours.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from unbug.detect.contract import (
    Bilingual,
    Finding,
    Place,
    Severity,
    Window,
    detector,
    event,
    facts_evidence,
    fires,
    silent,
    threshold,
)
from unbug.detect.dataline import data_line
from unbug.detect.given import first_layer, given, numbers


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    offset: float = threshold(
        1.5, unit="standard deviations", low=0.1, high=1e6, why="photographs of 0 to 1 have 2"
    )
    rows: int = threshold(50, unit="images", low=1, high=10**6, why="fewer may be dark by chance")


@detector(
    "D116",
    "off-centre-images",
    chinese="图像未去均值",
    diagnoses=("unnormalized-input",),
    events=("given",),
    severity=Severity.NOTE,
    since="0.3",
    confidence=0.7,
)
def find(window: Window, at: Thresholds) -> Iterator[Finding]:
    if not first_layer(window).startswith("Conv"):
        return
    for step, fields in given(window, "train"):
        mean, std = numbers(fields, "mean"), numbers(fields, "std")
        if fields.get("by") != "channel" or len(fields.get("shape") or ()) != 3 or not len(mean):
            continue
        if int(fields.get("rows_looked_at") or 0) < at.rows or not (std > 0).all():
            continue
        off = np.abs(mean) / std
        channel = int(np.argmax(off))
        if not off[channel] >= at.offset:
            continue
        yield Finding(
            place="data",
            message=Bilingual(
                f"channel {channel} of the images has mean {mean[channel]:.3g}, {off[channel]:.3g} standard "
                f"deviations off zero (limit {at.offset:g})",
                f"图像通道 {channel} 的均值为 {mean[channel]:.3g}，偏离零点 {off[channel]:.3g} 个标准差"
                f"（阈值 {at.offset:g}）",
            ),
            advice=Bilingual(
                "subtract the mean of the training data from each channel", "对每个通道减去训练数据的均值"
            ),
            steps=(0, step),
            known_at=step,
            source=data_line(window, "input"),
            evidence=(
                facts_evidence(
                    window,
                    "data",
                    (0, step),
                    Bilingual("channels", "通道"),
                    mean=[float(one) for one in mean],
                    std=[float(one) for one in std],
                ),
            ),
        )
        return


_CONV = (
    Place(path="c", kind="module", class_name="torch.nn.modules.conv.Conv2d", order=0),
    Place(path="c.weight", kind="parameter", shape=(4, 3, 3, 3), parent="c", order=1),
)
_NORM = (
    Place(path="n", kind="module", class_name="torch.nn.modules.batchnorm.BatchNorm2d", order=0),
    Place(path="n.weight", kind="parameter", shape=(3,), parent="n", order=1),
)
_PHOTO: dict[str, Any] = {"by": "channel", "shape": [3, 32, 32], "rows_looked_at": 64, "std": [0.25] * 3}
CASES = (
    fires(
        "photographs of 0 to 1",
        place="data",
        places=_CONV,
        events=(event("given", **_PHOTO, mean=[0.5] * 3),),
    ),
    silent("centred", places=_CONV, events=(event("given", **_PHOTO, mean=[0.1] * 3),)),
    silent("a normalisation first", places=_NORM, events=(event("given", **_PHOTO, mean=[0.5] * 3),)),
)
