"""Secrets go, in every form and place; what only looks a little like one stays."""

from __future__ import annotations

import base64
import json
import time
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unbug.privacy import REDACTED, LineRedactor, Redactor, allowed_environment, is_secret_name

HEX40 = "0123456789abcdef0123456789abcdef01234567"
TOKENS = {
    "openai": "sk-proj-" + "a1B2" * 8,
    "anthropic": "sk-ant-api03-" + "x9Y8" * 8,
    "github": "ghp_" + "a1B2" * 9,
    "github-fine": "github_pat_" + "a1B2" * 12,
    "gitlab": "glpat-" + "a1B2" * 5,
    "huggingface": "hf_" + "aBcD" * 9,
    "aws": "AKIA" + "A1B2" * 4,
    "slack": "xoxb-" + "1234567890-abcdefghij",
    "jwt": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl",
    "google": "AIza" + "a1B2" * 9,
    "stripe": "sk_live_" + "a1B2" * 6,
    "pypi": "pypi-AgEIcHlwaS5vcmc" + "a1B2" * 10,
    "npm": "npm_" + "a1B2" * 9,
}
HEALTHY = (
    "epoch 3 step 1234 loss: 0.1234 tokens/s: 1234 token: 5 num_tokens=512 max_tokens=1024",
    f"commit {HEX40}",
    f"checkpoint sha {HEX40}.pt",
    "pad_token='<pad>' eos_token='</s>' mask_token=[MASK] token_loss: 0.331 next_token=the",
    "tokenizer = AutoTokenizer.from_pretrained('gpt2')",
    "key = jax.random.PRNGKey(0); keys = model.state_dict().keys(); d['key'] = 'value'",
    "self.key = nn.Linear(384, 384); query, key, value = x.chunk(3)",
    "author: someone <someone@example.org>, keyboard=us, monkey: 12345",
    "see https://example.org/path?x=1#y and git@github.com:owner/repository.git",
    "sk-learn-is-not-a-token-at-all and risk-adjusted-returns-of-the-fund",
    "Passing, bypass=12 passed=3 compass: north, patience=5, pattern='abcdef', signal=0.7, design: new",
    "password: str = None",
)


@pytest.mark.parametrize("token", TOKENS.values(), ids=TOKENS)
@pytest.mark.parametrize(
    "around", ["{}", "a {} b", "x='{}'", "({})", 'print("{}")', "https://example.org/?q={}"]
)
def test_every_shape_of_token_goes(token, around):
    text = around.format(token)
    assert token not in Redactor().text(text)
    assert token not in Redactor().source(text)


@pytest.mark.parametrize("line", HEALTHY)
def test_what_is_no_secret_stays(line):
    redactor = Redactor.of_process(["train.py", "--lr", "0.1", "--max-tokens", "512"], {"PATH": "/usr/bin"})
    assert redactor.text(line) == line
    assert redactor.source(line) == line


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("https://user:p4ss@example.org/x", "p4ss"),
        ("postgres://me:a@b@db.example.org/x", "a@b"),
        ("https://tok3nvalue@github.com/a/b.git", "tok3nvalue"),
        ("password=hunter2", "hunter2"),
        ("PASSWORD: correcthorse", "correcthorse"),
        ('{"api_key": "abcd"}', "abcd"),
        ("api_key='zz-11'", "zz-11"),
        ("os.environ['WANDB_API_KEY'] = 'qwerty'", "qwerty"),
        ("python train.py --api-key abc123 --lr 1", "abc123"),
        ("run(['x', '--password', 'qwe123'])", "qwe123"),
        ("Authorization: Bearer abcdefghijklmnop", "abcdefghijklmnop"),
        (f"wandb: logging in with key {HEX40}", HEX40),
        ("machine api.wandb.ai login user password s3cr3tvalue", "s3cr3tvalue"),
        ("client_secret => 'o0o0o0'", "o0o0o0"),
        ("parser.add_argument('--token', default='sdfsdf')", "sdfsdf"),
        ("UserWarning: auth_token=warned-of-77", "warned-of-77"),
        ("WARNING:root:password=logged77", "logged77"),
        ("GET https://example.org/v1?access_token=queried77&x=1", "queried77"),
        ('{"url": "https://example.org/?sig=signed77"}', "signed77"),
        ("\x1b[31mtoken\x1b[0m=\x1b[32mcoloured77\x1b[0m", "coloured77"),
        ("Cookie: session=first77; other=second77", "second77"),
        ("password          : aligned77", "aligned77"),
        ("class Settings:\n    api_key: str | None = 'annotated77'", "annotated77"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIEow\n-----END RSA PRIVATE KEY-----", "MIIEow"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEA\ncut off", "b3BlbnNzaC1rZXktdjEA"),
    ],
)
def test_named_secrets_go(text, secret):
    clean = Redactor().text(text)
    assert secret not in clean
    assert REDACTED in clean


def test_in_source_only_literals_go():
    source = 'token = read_token()\npassword = args.password\napi_key = "abcdef"\nsecret: str = getpass()\n'
    clean = Redactor().source(source)
    assert clean == source.replace("abcdef", REDACTED)


def test_a_literal_under_a_secret_name_is_known_from_then_on():
    redactor = Redactor()
    assert redactor.text("it prints open-sesame-77") == "it prints open-sesame-77"
    redactor.source("if ready:\n    api_key = 'open-sesame-77'\n    pad_token = '<padding>'\n")
    assert redactor.text("it prints open-sesame-77 <padding>") == f"it prints {REDACTED} <padding>"


def test_in_source_typed_fields_and_defaults_over_several_lines_go():
    source = (
        'class S:\n    token: str = "annotated77"\np.add(\n    "--hub-token",\n    default="default77",\n)\n'
    )
    redactor = Redactor()
    clean = redactor.source(source)
    assert clean == source.replace("annotated77", REDACTED).replace("default77", REDACTED)
    assert redactor.text("it prints annotated77 and default77") == f"it prints {REDACTED} and {REDACTED}"


def test_values_of_dotted_names_go_from_a_command_line():
    argv = ["train.py", "--opts", "hub.api_key", "hunter22", "model.depth", "3"]
    assert Redactor().argv(argv) == ["train.py", "--opts", "hub.api_key", REDACTED, "model.depth", "3"]


def test_a_known_value_goes_as_base64_and_hexadecimals_too():
    redactor = Redactor(["variable-secret-1"])
    encoded = base64.b64encode(b"variable-secret-1").decode().rstrip("=")
    for form in (encoded, b"variable-secret-1".hex()):
        assert redactor.text(f"it is {form}!") == f"it is {REDACTED}!"


@pytest.mark.parametrize(
    "piece", ["a=b:", "token=", "x='token=", '"token": ', "'--token' default", "token:str", "Cookie: ", " a="]
)
def test_no_text_takes_long_or_much_stack(piece):
    text = piece * 15_000 + "token"
    began = time.process_time()
    Redactor().text(text)
    Redactor().source(text)
    assert time.process_time() - began < 5


def test_values_of_options_and_variables_are_known_everywhere():
    argv = ["train.py", "--api-key", "hunter22", "--password=swordfish99", "--lr", "0.1"]
    redactor = Redactor.of_process(argv, {"MY_TOKEN": "variable-secret-1", "HOME": "/root", "LESSKEY": "x"})
    assert redactor.argv(argv) == ["train.py", "--api-key", REDACTED, f"--password={REDACTED}", "--lr", "0.1"]
    for secret in ("hunter22", "swordfish99", "variable-secret-1"):
        assert redactor.text(f"it is {secret}!") == f"it is {REDACTED}!"


def test_short_values_must_stand_alone():
    redactor = Redactor(["digit"])
    assert redactor.text("digits digit.") == f"digits {REDACTED}."


@given(st.text(min_size=12, max_size=40).filter(lambda text: text.strip() == text), st.text(), st.text())
def test_a_known_value_is_in_no_output(secret, before, after):
    redactor = Redactor([secret])
    for form in (secret, json.dumps(secret)[1:-1], quote(secret, safe=""), repr(secret)[1:-1]):
        assert secret not in redactor.text(f"{before}{form}{after}").replace(REDACTED, "\0")


@given(st.text(max_size=200))
def test_redacting_twice_changes_nothing(text):
    redactor = Redactor(["some-known-value"])
    once = redactor.text(text)
    assert redactor.text(once) == once


def test_json_values_under_secret_names_go():
    found = Redactor().json(
        {"lr": 0.1, "hub_token": "abc", "nested": [{"password": "x"}, "a sk-" + "a1" * 20]}
    )
    assert found == {"lr": 0.1, "hub_token": REDACTED, "nested": [{"password": REDACTED}, f"a {REDACTED}"]}


@given(st.lists(st.integers(1, 30), max_size=40))
def test_pieces_make_no_difference(cuts):
    text = (
        "begin\nit is swordfish-number-9 here\nbar 1%\rbar 2%\rbar 100%\n"
        "-----BEGIN PRIVATE KEY-----\nMIIEow\nabc\n-----END PRIVATE KEY-----\nunfinished swordfish-number-9"
    )
    redactor = Redactor(["swordfish-number-9"])
    whole = LineRedactor(redactor)
    expected = whole.feed(text) + whole.finish()
    pieces, at, got = LineRedactor(redactor), 0, ""
    for length in [*cuts, len(text)]:
        got += pieces.feed(text[at : at + length])
        at += length
    got += pieces.finish()
    assert got == expected
    assert expected == (f"begin\nit is {REDACTED} here\nbar 100%\n{REDACTED}\nunfinished {REDACTED}")


def test_a_line_without_end_is_not_held_for_ever():
    lines = LineRedactor(Redactor())
    out = "".join(lines.feed("word " * 1000) for _ in range(100))
    assert len(out) > 400_000
    assert out + lines.finish() == "word " * 100_000


def test_environment_is_kept_by_name_only():
    environ = {
        "OMP_NUM_THREADS": "4", "CUDA_VISIBLE_DEVICES": "0", "AWS_PROFILE": "x", "PATH": "/bin",
        "MY_FLAG": "1", "TORCH_API_KEY": "abcdefgh", "TORCH_HOME": "https://u:pw@host/x",
        "HF_TOKEN": "hf", "SLURM_NODELIST": "n1",
    }  # fmt: skip
    kept = allowed_environment(environ, Redactor(), also=["MY_FLAG", "SLURM_*", "HF_TOKEN"])
    assert kept == {
        "CUDA_VISIBLE_DEVICES": "0", "MY_FLAG": "1", "OMP_NUM_THREADS": "4", "SLURM_NODELIST": "n1",
        "TORCH_HOME": f"https://{REDACTED}@host/x",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("--api-key", True), ("apiKey", True), ("HF_TOKEN", True), ("hub_token", True), ("token", True),
        ("AWS_ACCESS_KEY_ID", True), ("db.password", True), ("PGPASSWORD", True), ("client_secret", True),
        ("auth", True), ("DB_PWD", True), ("PWD", False), ("OLDPWD", False), ("tokenizer", False),
        ("key", False),
        ("max_tokens", False), ("pad_token", False), ("SSH_AUTH_SOCK", False), ("password_length", False),
        ("keyboard", False), ("public_key_path", False), ("compass", False), ("author", False),
    ],
)  # fmt: skip
def test_names(name, secret):
    assert is_secret_name(name) is secret


@pytest.mark.parametrize("secret", ["none", "value", "key"])
def test_a_large_value_is_redacted_as_its_parts_are(secret):
    token = "ghp_" + "a1B2" * 9
    fields = {"places": [{"path": f"layer.{number}.weight", "shape": [3, 4]} for number in range(2000)]}
    if secret == "value":
        fields["places"][1500]["path"] = token
    if secret == "key":
        fields["places"][1500]["password"] = "hunter2hunter2"
    clean = Redactor([]).json(fields)
    assert (clean == fields) is (secret == "none")
    assert token not in str(clean) and "hunter2" not in str(clean)
    clean["places"][1500] = fields["places"][1500]
    assert clean == fields
