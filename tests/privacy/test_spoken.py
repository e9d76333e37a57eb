"""Secrets that sentences and short options tell go; ordinary training logs stay as they are."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unbug.privacy import REDACTED, Redactor

TOLD = (
    ("the password is hunter22", "hunter22"),
    ("Password was: S3cret!pw.", "S3cret!pw"),
    ("Your secret is hunter22x", "hunter22x"),
    ("my api key is abcd1234efgh", "abcd1234efgh"),
    ("the access token is set to Zx81-abQ9-1kk2-Pq", "Zx81-abQ9-1kk2-Pq"),
    ("logging in as bob with password hunter22, host h", "hunter22"),
    ("auth token → a8f3kd02mmx1", "a8f3kd02mmx1"),
    ("passphrase is `corr3ct-Horse`", "corr3ct-Horse"),
    ("\x1b[32mpassword\x1b[0m is hunter22", "hunter22"),
)
COMMANDS = (
    (["mysql", "-u", "root", "-phunter22", "db"], "hunter22"),
    (["/usr/bin/mysqldump", "-pS3cret", "db"], "S3cret"),
    (["sshpass", "-p", "hunter22", "ssh", "host"], "hunter22"),
    (["redis-cli", "-a", "hunter22"], "hunter22"),
    (["docker", "login", "-u", "me", "-p", "hunter22"], "hunter22"),
    (["curl", "-u", "bob:hunter22", "https://example.org"], "hunter22"),
    (["fetch.py", "--user", "bob", "-p", "hunter22"], "hunter22"),
    (["fetch.py", "--username=bob", "-p", "hunter22"], "hunter22"),
    (["fetch.py", "-p", "Hunter22!x"], "Hunter22!x"),
    (["unzip", "-P", "hunter22", "a.zip"], "hunter22"),
)
HARMLESS = (
    "password is required", "the token is invalid", "Token is None", "secret is not set",
    "api key is missing, set WANDB_API_KEY", "next token is 50256", "the pad token is <pad>", "key is unused",
    "password authentication failed", "the secret is base64-encoded", "token is sha256-hashed",
    "password is read-only", "The secret key is /etc/keys/a.pem", "password file2.txt", "secret is $SECRET",
    "the api key is os.environ['KEY']", "token is tokenizer.eos_token", "access token is https://x.org/t1",
    "secret sauce42 of training", "batch key is layer1.weight", "epoch 3 token accuracy is 0.8712",
    "the last token is step-12000", "password is utf-8", "credentials are user-level", "token count is 1024k",
    "eos token is 2 and bos token is 1", "The key is kv_cache_layer_12_head_3", "auth is disabled",
    "loss is 0.4312 key is query1024", "passwd entries: 12 passes: 3",
)  # fmt: skip
HARMLESS_COMMANDS = (
    ["train.py", "-p", "0.5"], ["train.py", "-p", "resnet18"], ["train.py", "-p", "data/cifar10"],
    ["docker", "run", "-u", "1000", "-p", "8080:80", "image"], ["train.py", "-p", "checkpoint_12"],
    ["mkdir", "-p", "Runs2024"], ["train.py", "--user", "bob", "-p", "8080"], ["mysql", "-p", "-u", "root"],
    ["python", "-u", "train.py", "-p", "0.1"], ["curl", "-u", "bob", "https://example.org"],
    ["train.py", "-p", "fp16", "--patience", "5"], ["nmap", "-p", "1-1024", "host"],
    ["ps", "-p", "1234", "-o", "user"], ["train.py", "-pretrained", "resnet50"],
)  # fmt: skip


@pytest.mark.parametrize(("line", "secret"), TOLD)
def test_what_a_sentence_tells_goes(line: str, secret: str) -> None:
    clean = Redactor().text(line)
    assert secret not in clean and REDACTED in clean
    assert Redactor().text(clean) == clean


@pytest.mark.parametrize(("words", "secret"), COMMANDS)
def test_passwords_of_short_options_go(words: list[str], secret: str) -> None:
    redactor = Redactor.of_process(words, {})
    assert secret not in " ".join(redactor.argv(words))
    assert [word for word in redactor.argv(words) if REDACTED not in word] == [
        word for word in words if secret not in word
    ]
    assert secret not in redactor.text(f"connecting with {secret} now"), "it is known from then on"
    for line in (" ".join(words), f"$ {' '.join(words)} | tee log", f'os.system("{" ".join(words)}")'):
        assert secret not in Redactor().text(line), line


@pytest.mark.parametrize("line", HARMLESS)
def test_ordinary_lines_stay(line: str) -> None:
    assert Redactor().text(line) == line
    assert Redactor().text(f"[12:01:02] INFO {line}.") == f"[12:01:02] INFO {line}."


@pytest.mark.parametrize("words", HARMLESS_COMMANDS, ids=" ".join)
def test_ordinary_options_stay(words: list[str]) -> None:
    assert Redactor().argv(words) == words
    assert Redactor().text(" ".join(words)) == " ".join(words)


@given(
    st.lists(
        st.sampled_from([*"pu -=:", "mysql", "curl", "-p", "-u", "x1Y!", "login", "docker"]), max_size=30
    )
)
def test_any_command_line_keeps_its_words(words: list[str]) -> None:
    clean = Redactor().argv(words)
    assert len(clean) == len(words)
    text = " ".join(words)
    assert Redactor().text(Redactor().text(text)) == Redactor().text(text)


@pytest.mark.parametrize(
    "piece", ["password is ", "a b password ", "token-", "mysql -p ", "-u x -p ", "secret key "]
)
def test_long_lines_take_no_time(piece: str) -> None:
    start = time.perf_counter()
    Redactor().text(piece * 20_000)
    assert time.perf_counter() - start < 5
