"""Passwords known from a leak: the list, how it is made, and what is refused because of it."""

import random
import string
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest

from auth.credentials.leaked_passwords import (
    COUNT_BYTES,
    DIGEST_BYTES,
    TITLE,
    LeakedPasswords,
    digest_of,
)
from auth.credentials.password_policy import MIN_LENGTH, PasswordPolicy
from auth.errors import WeakPassword
from auth.settings import SettingError
from local import leaked_passwords
from local.leaked_passwords import FILE
from local.stack import ROOT
from local.terminal import Problem
from tests.unit.test_start import SETTINGS

REASON = "This password is known from a leak of another service. Choose another one."
NAME = "zorblax"
LEAKED = LeakedPasswords(str(FILE))
POLICY = PasswordPolicy(LEAKED)

# Answers one request; its log goes to stderr.
REQUEST = (
    "import handler; from tests.play.events import http_event;"
    " print(handler.http(http_event('GET', '/v1/health'), None)['statusCode'])"
)


@pytest.fixture(scope="module")
def listed() -> list[str]:
    """Return the leaked passwords, the most common first."""
    return leaked_passwords.passwords()


def refused(password: str) -> str | None:
    """Return the reason for which a password is refused at first sight."""
    try:
        POLICY.check(password, NAME)
    except WeakPassword as weak:
        return weak.fields["password"]
    return None


def test_the_most_common(listed: list[str]) -> None:
    """The thousand most common ones are refused, as they are and in capitals, with the reason."""
    assert_refused(listed[:1000])


def test_any_of_them(listed: list[str]) -> None:
    """A thousand others are refused in the same ways."""
    assert_refused(random.Random(6212).sample(listed, 1000))


def assert_refused(passwords: list[str]) -> None:
    """Check that each is refused as leaked, in lower case, capitalised and in capitals."""
    assert {len(password) >= MIN_LENGTH for password in passwords} == {True}
    for password in passwords:
        for typed in (password, password.capitalize(), password.upper()):
            assert refused(typed) == REASON, typed


def test_all_are_there(listed: list[str]) -> None:
    """The file has the digest of each, once and in order, and of nothing else."""
    digests = sorted({digest_of(password) for password in listed})
    assert len(digests) == 474_743
    head = TITLE + len(digests).to_bytes(COUNT_BYTES, "big")
    assert FILE.read_bytes() == head + b"".join(digests)


def test_random_passwords() -> None:
    """Of 100 000 random passwords, none is refused."""
    chance = random.Random(100_000)
    signs = string.ascii_letters + string.digits + string.punctuation
    for _ in range(100_000):
        assert refused("".join(chance.choices(signs, k=chance.randint(8, 20)))) is None


@pytest.mark.parametrize("password", ["zaq1@WSX", "gSEwfmCK", "bruckner"])
def test_what_guessing_does_not_find(password: str) -> None:
    """A leaked password is refused even if it is hard to guess from words and patterns."""
    POLICY.refuse_guessable(password, NAME)
    assert refused(password) == REASON


@pytest.mark.parametrize("text", ["zaq1@WSX!", " zaq1@WSX", "zaq1@WSXzaq1@WSX"])
def test_the_whole_password(text: str) -> None:
    """A password that only contains a leaked one is not refused as leaked."""
    assert refused(text) is None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Fünf Bäume", "FÜNF BÄUME"),
        ("stra\u00dfe 12", "STRASSE 12"),
        ("\u0391\u03a3 \u03b1\u03c2", "\u03b1\u03c3 \u03b1\u03c3"),
        ("\u0390 \u0390", unicodedata.normalize("NFD", "\u0390 \u0390").upper()),
        ("\u01f0\u0323 \u01f0", unicodedata.normalize("NFD", "\u01f0\u0323 \u01f0")),
    ],
    ids=ascii,
)
def test_letters_of_all_languages(one: str, other: str) -> None:
    """Capitals and accents make no difference in any language."""
    assert digest_of(one) == digest_of(other)
    assert digest_of(one) == digest_of(unicodedata.normalize("NFD", one))


def test_the_same_again(tmp_path: Path) -> None:
    """The list has the same bytes each time, and a process that has it open keeps its own."""
    leaked_passwords.write(tmp_path / "list.bin")
    assert (tmp_path / "list.bin").read_bytes() == FILE.read_bytes()
    opened = LeakedPasswords(str(tmp_path / "list.bin"))
    leaked_passwords.write(tmp_path / "list.bin")
    assert [path.name for path in tmp_path.iterdir()] == ["list.bin"]
    assert "zaq1@WSX" in opened


def test_no_passwords_to_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the package's file there is no list, not an empty one, and the remedy is named."""
    monkeypatch.setattr(leaked_passwords, "SOURCE", ROOT / "none" / "list.txt")
    with pytest.raises(Problem, match=r"none/list\.txt is missing: run `make setup`"):
        leaked_passwords.write(tmp_path / "list.bin")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, r"list\.txt cannot be read: Is a directory"),
        (b"password\n\xff\n", r"list\.txt is damaged: invalid start byte at byte 9"),
    ],
)
def test_passwords_that_cannot_be_read(
    content: bytes | None, problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file of passwords that cannot be read is named in one line with the reason."""
    source, target = tmp_path / "list.txt", tmp_path / "list.bin"
    if content is None:
        source.mkdir()
    else:
        source.write_bytes(content)
    monkeypatch.setattr(leaked_passwords, "ROOT", tmp_path)
    monkeypatch.setattr(leaked_passwords, "SOURCE", source)
    with pytest.raises(Problem, match=f"^{problem}$"):
        leaked_passwords.write(target)
    assert list(tmp_path.iterdir()) == [source]


def test_a_list_that_cannot_be_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder without room or permission is named in one line, and nothing half-done is left."""
    monkeypatch.setattr(leaked_passwords, "FILE", tmp_path / "none" / "list.bin")
    assert leaked_passwords.main() == 1
    name = tmp_path / "none" / "list.bin"
    problem = f"leaked passwords: {name} cannot be written: No such file or directory\n"
    assert capsys.readouterr().out == problem
    monkeypatch.setattr(leaked_passwords, "FILE", tmp_path / "list.bin")
    small = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000));"
    run = "from local import leaked_passwords as made; from pathlib import Path;"
    aim = f"made.FILE = Path({str(tmp_path / 'list.bin')!r}); raise SystemExit(made.main())"
    done = subprocess.run(
        [sys.executable, "-c", f"{small} {run} {aim}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.endswith("list.bin cannot be written: File too large\n")
    assert list(tmp_path.iterdir()) == []


def short_list(*passwords: str) -> bytes:
    """Return the bytes of a list of a few passwords."""
    digests = sorted(map(digest_of, passwords))
    return TITLE + len(digests).to_bytes(COUNT_BYTES, "big") + b"".join(digests)


def test_both_ends(tmp_path: Path) -> None:
    """The first and the last of a list are found, and what would be before and after is not."""
    words = sorted((f"password {number}" for number in range(9)), key=digest_of)
    for count in (1, 2, 3, 7):
        path = tmp_path / f"{count}.bin"
        path.write_bytes(short_list(*words[1 : 1 + count]))
        leaked = LeakedPasswords(str(path))
        assert [word in leaked for word in words] == [1 <= at <= count for at in range(9)]


WHOLE = short_list("password", "iloveyou")
DAMAGED = {
    "empty": (b"", "is not a list of ours"),
    "within its title": (WHOLE[:10], "is not a list of ours"),
    "within its count": (WHOLE[: len(TITLE) + 2], "is not a list of ours"),
    "another file": (b"password\niloveyou\n" * 9, "is not a list of ours"),
    "another format": (WHOLE.replace(b" 1\n", b" 2\n", 1), "is not a list of ours"),
    "without its end": (WHOLE[:-1], f"has {len(WHOLE) - 1} bytes instead of {len(WHOLE)}"),
    "without its half": (WHOLE[:-DIGEST_BYTES], f"bytes instead of {len(WHOLE)}"),
    "with more": (WHOLE + b"\n", f"bytes instead of {len(WHOLE)}"),
    "of nothing": (short_list(), "is damaged"),
}


@pytest.mark.parametrize("kind", sorted(DAMAGED))
def test_a_damaged_list(kind: str, tmp_path: Path) -> None:
    """A list that is not whole stops the start: each request logs why, and none is served."""
    content, why = DAMAGED[kind]
    path = tmp_path / "list.bin"
    path.write_bytes(content)
    status, log = answer_with(path)
    assert status == "500"
    line = log.splitlines()[0]
    assert "cannot start: LEAKED_PASSWORDS_FILE is " in line
    assert why in line
    assert str(path) in line


def test_a_missing_list(tmp_path: Path) -> None:
    """A list that does not exist stops the start as well."""
    status, log = answer_with(tmp_path / "none.bin")
    assert status == "500"
    named = f"LEAKED_PASSWORDS_FILE names a file that does not exist: {tmp_path / 'none.bin'}"
    assert f"cannot start: {named}" in log


def test_a_whole_list(tmp_path: Path) -> None:
    """The same process answers with a list that is whole; without keys the answer is 503."""
    path = tmp_path / "list.bin"
    path.write_bytes(WHOLE)
    status, log = answer_with(path)
    assert status == "503"
    assert "cannot start" not in log


def answer_with(path: Path) -> tuple[str, str]:
    """Return the status and the log of a request to a handler that starts with this list."""
    settings = {
        **SETTINGS,
        "LEAKED_PASSWORDS_FILE": str(path),
        "AWS_ENDPOINT_URL": "http://[::1]:1",
    }
    command = [sys.executable, "-c", REQUEST]
    done = subprocess.run(
        command, cwd=ROOT, env=settings, capture_output=True, text=True, check=True
    )
    return done.stdout.strip(), done.stderr


def test_a_list_that_cannot_be_read(tmp_path: Path) -> None:
    """An error of the file system is named."""
    with pytest.raises(SettingError, match=r"LEAKED_PASSWORDS_FILE cannot be read: .+ \(Is a dir"):
        LeakedPasswords(str(tmp_path))
