"""Every package is pinned with its hashes, and nothing else is installed."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.pins import hashed
from tests.play.packages import NAME, VERSION, wheel
from tests.play.sources import tracked

SOME = "0" * 64
HASH = r"--hash=sha256:[0-9a-f]{64}"
REQUIREMENT = re.compile(rf"[A-Za-z0-9._-]+(\[[a-z,-]+\])?==\S+( ; .+?)?( +{HASH})+")
PINNED = re.compile(r"[A-Za-z0-9._-]+(\[[a-z,]+\])?==\S+( ; [a-z_]+ == '\w+')?|-r \S+\.in")
INTEGRITY = re.compile(r"sha512-[A-Za-z0-9+/]{86}==")


def statements(text: str) -> list[str]:
    """Return the statements of a list without comments, continued lines joined."""
    lines = text.replace("\\\n", " ").splitlines()
    return [line for line in lines if line and not line.startswith((" ", "#"))]


def unhashed(text: str) -> list[str]:
    """Return the requirements of a list that lack a hash for a file."""
    return [line for line in statements(text) if not REQUIREMENT.fullmatch(line)]


def unchecked(lock: str) -> list[str]:
    """Return the entries of an npm lock file that are not checked by a hash."""
    packages = json.loads(lock)["packages"]
    return [
        name
        for name, entry in packages.items()
        if name and not INTEGRITY.fullmatch(entry.get("integrity", ""))
    ]


def test_python_packages_have_hashes() -> None:
    """Each requirement of each list names its version and the hash of each of its files."""
    lists = tracked("*.txt")
    assert len(lists) >= 4
    for path in lists:
        text = path.read_text()
        assert statements(text), path
        assert unhashed(text) == [], path


def test_what_we_name_is_what_is_installed() -> None:
    """Each hand-written requirement is pinned, and `make lock` has listed that version."""
    for path in tracked("*.in"):
        made = re.sub(r"\[.*\]", "", path.with_suffix(".txt").read_text().lower())
        for line in statements(path.read_text()):
            assert PINNED.fullmatch(line), f"{path}: {line}"
            if "==" in line:
                name, _, version = re.sub(r"\[.*\]| ; .*", "", line.lower()).partition("==")
                assert f"\n{name.replace('_', '-')}=={version} " in f"\n{made}", f"{path}: {line}"


def test_node_packages_have_hashes() -> None:
    """Each entry of each lock file has the hash of its archive, and no registry address."""
    locks = tracked("*package-lock.json")
    assert len(locks) >= 2
    for path in locks:
        assert unchecked(path.read_text()) == [], path
        assert '"resolved"' not in path.read_text(), path


@pytest.mark.parametrize(
    "line",
    ["six", "six==1.17.0", f"six>=1 --hash=sha256:{SOME}", f"six==1.17.0 --hash=md5:{SOME}"],
)
def test_a_requirement_without_hash_is_refused(line: str) -> None:
    """A bare name, a bare version, a range and a weak hash are each refused."""
    assert unhashed(f"# a list\n{line}\n") == [line]


def test_an_entry_without_integrity_is_refused() -> None:
    """An entry without a hash, or with a weak one, is found."""
    entries = {
        "": {},
        "node_modules/a": {"version": "1"},
        "node_modules/b": {"integrity": "sha1-x"},
    }
    assert unchecked(json.dumps({"packages": entries})) == ["node_modules/a", "node_modules/b"]


def test_every_installation_checks_hashes() -> None:
    """Every call of `pip install` or `pip wheel` uses `--require-hashes`."""
    installing = re.compile(r"""pip["', ]+(install|wheel)|_pip\(|"-m", "pip", command""")
    for path in tracked(
        "local/*", "deploy/*", "operate/*", ".github/*", "tests/*", "Makefile", ".ci/*"
    ):
        text = path.read_text()
        if installing.search(text):
            assert "--require-hashes" in text, path


def test_part_of_a_list(tmp_path: Path) -> None:
    """A part of a list keeps versions, markers and hashes, and none of its neighbours'."""
    path = tmp_path / "list.txt"
    path.write_text(
        "# made\nsix==1 \\\n    --hash=sha256:a \\\n    --hash=sha256:b\n"
        "six-more==2 ; python_version < '4' \\\n    --hash=sha256:c\n"
        "# six==3 \\\n    --hash=sha256:d\n"
    )
    assert hashed(path, {"six"}).split() == ["six==1", "--hash=sha256:a", "--hash=sha256:b"]
    assert "; python_version < '4'" in hashed(path, {"six-more"})


def test_pip_refuses_another_file(tmp_path: Path) -> None:
    """The command that `make setup` runs refuses a file whose hash is not listed."""
    digest = wheel(tmp_path)
    wanted = tmp_path / "list.txt"
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--require-hashes"]
    command += ["--no-index", f"--find-links={tmp_path}", f"--dest={tmp_path / 'got'}"]
    statuses = []
    for sha256 in (digest, "0" * 64):
        wanted.write_text(f"{NAME}=={VERSION} --hash=sha256:{sha256}\n")
        done = subprocess.run(
            [*command, "-r", str(wanted)], capture_output=True, text=True, check=False
        )
        statuses.append(done.returncode)
    assert statuses == [0, 1]
    assert "DO NOT MATCH THE HASHES" in done.stderr
