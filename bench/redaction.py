"""Plant secrets wherever a program can have them, record it, and look for them in every byte of the run.

Every file is searched as it is, and again in every zlib stream that begins anywhere in it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from bars import holds

SECRETS = {
    "option": "opt-Secret-Value-001",
    "option with =": "opt-Secret-Value-002",
    "short option value": "hunter2",
    "environment": "env-Secret-Value-003",
    "environment, set late": "hf_" + "LateTokenValue004" * 2,
    "git remote": "remote-Secret-Value-005",
    "console": "sk-proj-" + "Console006" * 3,
    "console, by value": "env-Secret-Value-003",
    "console, in two pieces": "ghp_" + "Pieces007x" * 4,
    "stderr": "AKIA" + "STDERR0081234567"[:16],
    "source": "source-Secret-Value-009",
    "uncommitted change": "diff-Secret-Value-010",
    "exception": "exception-Secret-011",
    "warning": "xoxb-" + "12345678-Warning012",
    "JSON web token": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ1c2VyMDEzIn0.c2lnbmF0dXJlMDEz",
    "private key": "MIIEpAIBAAKCAQEA014" + "privateKeyBody" * 2,
    "W&B key": "0123456789abcdef0123456789abcdef0123a015",
    "run name": "name-Secret-Value-016",
    "other module": "module-Secret-Value-017",
    "logged url": "url-Secret-Value-018",
    "told in a sentence": "told-Secret-Value-019",
    "of a short option": "short-Secret-Value-020",
    "of a command in the source": "mysql-Secret-Value-021",
}
COMMIT_LIKE = "feedfacefeedfacefeedfacefeedfacefeedface"

PROGRAM = f'''
import os, sys, time, warnings
import settings_of_mine
api_key = "{SECRETS["source"]}"
print("using", os.environ["SERVICE_TOKEN"], "and", sys.argv[2], "password", sys.argv[4])
print("{SECRETS["console"]}")
print("commit {COMMIT_LIKE}")
half = "{SECRETS["console, in two pieces"]}"
sys.stdout.write("token is " + half[:12]); sys.stdout.flush(); time.sleep(0.8)
sys.stdout.write(half[12:] + "\\n"); sys.stdout.flush()
print("{SECRETS["stderr"]}", file=sys.stderr)
print("logging in; the password is {SECRETS["told in a sentence"]}.")
print("running: sshpass -p {SECRETS["of a short option"]} ssh host")
backup = "mysqldump -u root -p{SECRETS["of a command in the source"]} things"
print("bearer: {SECRETS["JSON web token"]}")
print("-----BEGIN RSA PRIVATE KEY-----"); sys.stdout.flush(); time.sleep(0.7)
print("{SECRETS["private key"]}"); print("-----END RSA PRIVATE KEY-----")
print("wandb: using key {SECRETS["W&B key"]}")
print("fetching https://user:{SECRETS["logged url"]}@example.org/data")
warnings.warn("{SECRETS["warning"]} is deprecated")
os.environ["HF_TOKEN"] = "{SECRETS["environment, set late"]}"
print(os.environ["HF_TOKEN"])
try:
    import torch
    from torch import nn
    torch.manual_seed(0)
    model = nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(20):
        optimizer.zero_grad()
        key = "{SECRETS["source"]}"; loss = nn.functional.mse_loss(model(torch.ones(8, 4)), torch.ones(8, 2))
        loss.backward()
        optimizer.step()
finally:
    raise RuntimeError("cannot log in with password={SECRETS["exception"]}")
'''


def plant(folder: Path) -> None:
    """A repository with a remote, a commit, a change, and the program."""
    (folder / "train.py").write_text(PROGRAM)
    (folder / "settings_of_mine.py").write_text(f"DB_PASSWORD = '{SECRETS['other module']}'\n")
    (folder / "config.yaml").write_text("lr: 0.1\n")

    def git(*words: str) -> None:
        subprocess.run(["git", "-C", str(folder), *words], check=True, capture_output=True)

    git("init", "-q")
    git("config", "user.email", "a@example.org")
    git("config", "user.name", "a")
    git("remote", "add", "origin", f"https://me:{SECRETS['git remote']}@example.org/a/b.git")
    git("add", ".")
    git("commit", "-q", "-m", "first")
    (folder / "config.yaml").write_text(f"lr: 0.1\nservice_password: {SECRETS['uncommitted change']}\n")


def record(folder: Path) -> Path:
    """Run the program recorded; it fails, as planted."""
    environment = {**os.environ, "SERVICE_TOKEN": SECRETS["environment"], "OMP_NUM_THREADS": "1"}
    options = ["--token", SECRETS["option"], "--password", SECRETS["short option value"]]
    name = f"run api_key={SECRETS['run name']}"
    command = [sys.executable, "-m", "unbug", "run", "--dir", "runs", "--quiet", "--name", name, "train.py"]
    done = subprocess.run(
        [*command, *options, f"--api-key={SECRETS['option with =']}"],
        cwd=folder, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode != 1 or SECRETS["exception"] not in done.stderr:
        raise SystemExit(f"the program did not fail as planted: {done.returncode}\n{done.stderr}")
    return next((folder / "runs").glob("*/run.json")).parent


def every_byte(run: Path) -> Iterator[tuple[str, bytes]]:
    """Names and contents of all files, and of each zlib stream in them."""
    yield "names", "\n".join(str(path.relative_to(run.parent)) for path in run.rglob("*")).encode()
    yield "folder", run.name.encode()
    for path in run.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            yield path.name, data
            for at in range(len(data) - 1):
                if data[at] == 0x78 and (data[at] * 256 + data[at + 1]) % 31 == 0:
                    try:
                        yield f"{path.name} from {at}", zlib.decompressobj().decompress(data[at:])
                    except zlib.error:
                        continue


def found_in(run: Path) -> dict[str, str]:
    """Which secrets were found, and where."""
    found: dict[str, str] = {}
    for where, data in every_byte(run):
        for name, secret in SECRETS.items():
            if any(secret.encode(encoding) in data for encoding in ("utf-8", "utf-16-le", "utf-32-le")):
                found[name] = where
    return found


def main() -> None:
    """Plant, record, search."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        plant(folder)
        run = record(folder)
        found = found_in(run)
        kept = any(COMMIT_LIKE.encode() in data for _, data in every_byte(run))
        size = sum(len(data) for _, data in every_byte(run))
        measured = f"{len(SECRETS) - len(found)} of {len(SECRETS)} absent"
        note = f"{size:,} bytes searched" + "".join(f"; {name} in {where}" for name, where in found.items())
        holds(
            "planted secrets in no byte of the run", not found, bar="all absent", measured=measured, note=note
        )
        holds("a commit's digits stay", kept, bar="kept", measured="kept" if kept else "redacted")


if __name__ == "__main__":
    main()
