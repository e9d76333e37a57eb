"""Small data in the form that public programs look for, made here: nothing is downloaded.

Pictures are scikit-learn's hand-written digits and its two photographs; text is drawn from a small
grammar. Every recipe writes the same bytes each time.
"""

from __future__ import annotations

import pickle
import random
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

__all__ = ["RECIPES"]

NOUNS = ["cat", "dog", "bird", "river", "house", "child", "tree", "stone", "road", "star", "boat", "king"]
VERBS = ["sees", "finds", "likes", "follows", "carries", "hears", "builds", "leaves"]
WORDS = ("the", "a", "old", "red", "small", "quiet", "and", "then", *NOUNS, *VERBS, "meaning", "of")


def _digits() -> tuple[Any, Any]:
    """1,797 pictures of 28 x 28 with their classes, like MNIST's in form."""
    import numpy
    from PIL import Image
    from sklearn.datasets import load_digits

    digits = load_digits()
    pictures = numpy.zeros((len(digits.images), 28, 28), numpy.uint8)
    for number, small in enumerate(digits.images):
        picture = Image.fromarray((small * 15.9375).astype(numpy.uint8)).resize((20, 20))
        pictures[number, 4:24, 4:24] = numpy.asarray(picture)
    return pictures, digits.target.astype(numpy.uint8)


def mnist(folder: Path) -> None:
    """MNIST's four files, 1,536 pictures to train on and 256 to test."""
    pictures, classes = _digits()
    raw = folder / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for part, chosen in (("train", slice(0, 1536)), ("t10k", slice(1536, 1792))):
        some, labels = pictures[chosen], classes[chosen]
        head = struct.pack(">IIII", 2051, len(some), 28, 28)
        (raw / f"{part}-images-idx3-ubyte").write_bytes(head + some.tobytes())
        (raw / f"{part}-labels-idx1-ubyte").write_bytes(
            struct.pack(">II", 2049, len(labels)) + labels.tobytes()
        )


def folders(folder: Path) -> None:
    """An image folder, `train/` and `validation/` of ten classes."""
    from PIL import Image

    pictures, classes = _digits()
    for number, (picture, label) in enumerate(zip(pictures[:400], classes[:400], strict=True)):
        place = folder / ("train" if number < 320 else "validation") / f"digit{label}"
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).convert("RGB").save(place / f"{number}.png")


def photographs(folder: Path) -> None:
    """Crops of 256 x 256 of two photographs, `train/` and `test/`."""
    from PIL import Image
    from sklearn.datasets import load_sample_images

    source = random.Random(0)
    for part, count in (("train", 24), ("test", 6)):
        (folder / part).mkdir(parents=True)
        for number in range(count):
            photograph = load_sample_images().images[number % 2]
            top = source.randrange(photograph.shape[0] - 256)
            left = source.randrange(photograph.shape[1] - 256)
            crop = Image.fromarray(photograph[top : top + 256, left : left + 256])
            crop.save(folder / part / f"{number}.png")


def masks(folder: Path) -> None:
    """`imgs/` and `masks/`: digits, and where they are."""
    import numpy
    from PIL import Image

    for name in ("imgs", "masks"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for number, picture in enumerate(_digits()[0][:40]):
        Image.fromarray(picture).resize((64, 64)).convert("RGB").save(folder / "imgs" / f"{number}.png")
        mask = Image.fromarray(((picture > 96) * 255).astype(numpy.uint8)).resize((64, 64), Image.NEAREST)
        mask.save(folder / "masks" / f"{number}.png")


def _sentences(count: int, seed: int) -> str:
    source = random.Random(seed)
    lines = []
    for _ in range(count):
        words = [source.choice(("the", "a")), source.choice(NOUNS), source.choice(VERBS)]
        words += [source.choice(("the", "a")), source.choice(("old", "red", "small", "quiet"))]
        words += [source.choice(NOUNS), source.choice(("and", "then")), "the", source.choice(NOUNS)]
        lines.append(" ".join([*words, source.choice(VERBS)]))
    return "\n".join(lines) + "\n"


def text(folder: Path) -> None:
    """`train.txt`, `valid.txt` and `test.txt`, a sentence a line."""
    folder.mkdir(parents=True, exist_ok=True)
    every = " ".join(WORDS) + "\n"
    for seed, (part, count) in enumerate((("train", 3000), ("valid", 300), ("test", 300))):
        (folder / f"{part}.txt").write_text(every + _sentences(count, seed))


def characters(folder: Path) -> None:
    """Characters as numbers: `train.bin`, `val.bin` and `meta.pkl` with the alphabet."""
    import numpy

    folder.mkdir(parents=True, exist_ok=True)
    alphabet = sorted(set(_sentences(200, 0)))
    numbers = {letter: number for number, letter in enumerate(alphabet)}
    for seed, (part, count) in enumerate((("train", 2000), ("val", 200))):
        coded = [numbers[letter] for letter in _sentences(count, seed)]
        numpy.array(coded, numpy.uint16).tofile(folder / f"{part}.bin")
    meta = {"vocab_size": len(alphabet), "stoi": numbers, "itos": dict(enumerate(alphabet))}
    (folder / "meta.pkl").write_bytes(pickle.dumps(meta))


def citations(folder: Path) -> None:
    """`cora.content`, 32 words and a class for every paper that the program's own `cora.cites` names."""
    papers = sorted({int(word) for word in (folder / "cora.cites").read_text().split()})
    source = random.Random(0)
    lines = []
    for paper in papers:
        subject = paper % 7
        words = [int(source.random() < (0.5 if word % 7 == subject else 0.1)) for word in range(32)]
        lines.append("\t".join([str(paper), *map(str, words), f"subject{subject}"]))
    (folder / "cora.content").write_text("\n".join(lines) + "\n")


def folder(folder: Path) -> None:
    """An empty folder that the program expects to be there."""
    folder.mkdir(parents=True, exist_ok=True)


RECIPES: Mapping[str, Callable[[Path], None]] = {
    recipe.__name__: recipe
    for recipe in (mnist, folders, photographs, masks, text, characters, citations, folder)
}
