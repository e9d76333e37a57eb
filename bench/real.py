"""Public training programs of many styles: does each run the same under unbug? `real.py FOLDER [NAME…]`.

FOLDER holds the repositories that `real.toml` names; what is missing is said, with how to fetch it.
Each program is copied to a new folder, given small data made here, and run bare, bare again (control) and
under `unbug run` with its default budget, at the same path each time. Compared are stdout, stderr, exit
code and written files (checkpoints by their tensors, event files by what was logged), but for the parts
that a program varies by its nature, which `real.toml` names. `--python` is an interpreter that has what
the programs import. Not part of `make bench`: the programs are not part of unbug.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import bars  # type: ignore[import-not-found]
from real_comparing import Ran, differences, masked  # type: ignore[import-not-found]
from real_data import RECIPES  # type: ignore[import-not-found]
from same import MEASURED, RESULTS, _without_clock  # type: ignore[import-not-found]

__all__ = ["main", "missing", "table"]

TABLE = Path(__file__).with_suffix(".toml")


def table() -> dict[str, dict]:
    """The programs of `real.toml` by name, each with its repository's address, commit and licence."""
    told = tomllib.loads(TABLE.read_text())
    programs = {}
    for program in told["program"]:
        address, commit, licence = told["repositories"][program["root"].split("/")[0]]
        programs[program["name"]] = {**program, "address": address, "commit": commit, "licence": licence}
    return programs


def missing(program: Mapping, folder: Path) -> str:
    """How to fetch a program that `folder` lacks; empty if it is there."""
    repository = program["root"].split("/")[0]
    if (folder / program["root"]).is_dir():
        return ""
    where = folder / repository
    return f"git clone {program['address']} {where} && git -C {where} checkout {program['commit']}"


def _lay_out(program: Mapping, folder: Path, work: Path, python: str) -> Path:
    """Copy the program to `work`, make its data; returns the folder it runs in."""
    shutil.rmtree(work, ignore_errors=True)
    root = program.get("whole", program["root"])
    parts = [f"{root}/{name}" for name in program.get("only", ())] or [root]
    for part in parts:
        shutil.copytree(folder / part, work / part, symlinks=True, ignore=shutil.ignore_patterns(".git"))
    cwd = work / program["root"]
    for recipe, where in program.get("data", ()):
        RECIPES[recipe](Path(os.path.normpath(cwd / where)))
    if "prepare" in program:
        subprocess.run([python, *program["prepare"][1:]], cwd=cwd, check=True, env=_environment({}, python))
    return cwd


def _environment(more: Mapping[str, str], python: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("UNBUG")}
    kept["PATH"] = f"{Path(python).parent}:{kept['PATH']}"
    steady = {"OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"}
    return {**kept, **steady, "SOURCE_DATE_EPOCH": "1700000000", "CUDA_VISIBLE_DEVICES": "", **more}


def _run(program: Mapping, folder: Path, place: Path, python: str, runs: Path | None) -> Ran:
    work, told = place / "work", place / "told"
    cwd = _lay_out(program, folder, work, python)
    before = {path: path.stat().st_mtime_ns for path in _files(work)}
    command = list(program["command"])
    watching = [] if runs is None else ["-m", "unbug", "run", "--quiet", "--dir", str(runs)]
    seeded = [str(Path(__file__).with_name("real_seeded.py"))] if program.get("seeded") else []
    line = [python, *watching, *seeded, *command[1:]]
    shutil.rmtree(told, ignore_errors=True)
    told.mkdir(parents=True)
    env = dict(program.get("env", {}))
    if "path" in program:
        env["PYTHONPATH"] = os.path.normpath(cwd / program["path"])
    env["TORCHINDUCTOR_CACHE_DIR"] = str(place / "inductor")
    subprocess.run(
        [sys.executable, "-I", "-S", str(MEASURED), str(told), "/usr/bin/env", "-C", str(cwd), *line],
        env=_environment(env, python),
        check=True,
        timeout=600,
    )
    outcome = json.loads((told / "outcome.json").read_text())
    kept = place / ("watched" if runs else "again" if (place / "bare").exists() else "bare")
    kept.mkdir(parents=True)
    written = {}
    for path in _files(work):
        if before.get(path) != path.stat().st_mtime_ns:
            name = str(path.relative_to(work))
            (kept / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, kept / name)
            written[name] = kept / name
    return Ran(
        status=outcome["status"],
        streams={name: _without_clock((told / name).read_bytes()) for name in ("stdout", "stderr")},
        files=written,
        peak_bytes=outcome["peak_bytes"],
        wall_s=outcome["wall_s"],
        left_behind=tuple(outcome["left_behind"]),
    )


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            yield path


def recorded(runs: Path) -> dict[str, object]:
    """What unbug recorded of the program and found in it."""
    from unbug.detect import diagnose
    from unbug.store import list_runs, open_reader

    found = list_runs(runs)
    if not found:
        return {"runs": 0}
    reader = open_reader(next(path.parent for path in runs.glob("*/run.json")))
    try:
        covered = [one for event in reader.events("coverage") for one in event.fields["trainings"]]
        notes = [note for event in reader.events("coverage") for note in event.fields.get("notes", ())]
        losses = sum(
            len(reader.read(series).values) for series in reader.find(name="loss.value", origin="auto")
        )
        stated = diagnose(reader)
        return {
            "runs": len(found),
            "trainings": len({training.number for training in reader.trainings()}),
            "steps": sum(one["steps"] for one in covered),
            "losses": losses,
            "faults": [str(dict(event.fields))[:600] for event in reader.events("fault")],
            "notes": [str(note) for note in notes],
            "findings": [
                {
                    "rule": one.rule,
                    "name": one.name,
                    "severity": str(getattr(one.severity, "value", one.severity)),
                    "place": one.place,
                    "source": str(one.source) if one.source else "",
                    "message": one.message,
                    "confidence": one.confidence,
                }
                for one in stated.findings
            ],
            "detector_faults": [str(one) for one in stated.faults],
        }
    finally:
        reader.close()


def measure(program: Mapping, folder: Path, base: Path, python: str) -> dict[str, object]:
    """Run a program three times and compare."""
    place = base / program["name"]
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    if program.get("compiled"):
        _run(program, folder, place, python, None)
    bare = _run(program, folder, place, python, None)
    again = _run(program, folder, place, python, None)
    watched = _run(program, folder, place, python, place / "runs")
    return {
        "program": program["name"],
        "status": bare.status,
        "said": masked(bare.streams["stderr"] or bare.streams["stdout"], ())[-400:].decode(errors="replace"),
        "control": differences(bare, again, program, python),
        "changed": differences(bare, watched, program, python),
        "files": len(bare.files),
        "lines": bare.streams["stdout"].count(b"\n"),
        "bare_s": min(bare.wall_s, again.wall_s),
        "watched_s": watched.wall_s,
        "bare_mb": max(bare.peak_bytes, again.peak_bytes) / 2**20,
        "more_mb": (watched.peak_bytes - max(bare.peak_bytes, again.peak_bytes)) / 2**20,
        "expected_steps": program["steps"],
        "recorded": recorded(place / "runs"),
    }


def _say(row: Mapping) -> None:
    told = row["recorded"]
    control = "; ".join(row["control"]) or "same"
    print(f"{row['program']:24} ends {row['status']} | control {control}")
    print(f"  watched {'; '.join(row['changed']) or 'same'} | {row['bare_s']:.1f} s bare,", end=" ")
    print(f"{row['watched_s']:.1f} watched, {row['more_mb']:+.0f} MB")
    print(f"  {told.get('steps')} steps of {row['expected_steps']}, {told.get('losses')} losses,", end=" ")
    print(f"{told.get('trainings')} trainings, faults {told.get('faults')}")
    for finding in told.get("findings", ()):
        print(f"  {finding['severity']} {finding['rule']} {finding['place']} {finding['source']}")
        print(f"    {finding['message']}")
    if row["status"]:
        print("  said: " + row["said"].replace("\n", "\n    "))
    sys.stdout.flush()


def main(words: Sequence[str]) -> int:
    """Run the programs that are there, say what is missing, state the bars."""
    programs = table()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="where the repositories lie")
    parser.add_argument("programs", nargs="*", metavar="NAME", help=", ".join(programs))
    parser.add_argument("--python", default=sys.executable, help="interpreter that has what they import")
    parser.add_argument("--keep", type=Path, help="keep outputs and runs in this folder")
    options = parser.parse_args(words)
    python, results = str(Path(options.python).absolute()), RESULTS / "real"
    results.mkdir(parents=True, exist_ok=True)
    done = []
    with tempfile.TemporaryDirectory(prefix="real-") as temporary:
        for name in options.programs or programs:
            absent = missing(programs[name], options.folder)
            if absent:
                print(f"{name:24} is not there; to fetch it:\n  {absent}", flush=True)
                continue
            row = measure(programs[name], options.folder, options.keep or Path(temporary), python)
            _say(row)
            done.append(row)
            (results / f"{name}.json").write_text(json.dumps(row, indent=1) + "\n")
    sound = [row for row in done if not row["control"] and not row["status"]]
    same = [row for row in sound if not row["changed"]]
    bars.at_least("public programs run", len(sound), 12, note=f"{len(done)} tried")
    bars.holds(
        "same bare and watched", len(same) == len(sound), bar="all", measured=f"{len(same)} of {len(sound)}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
