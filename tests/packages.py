"""Packages for Python and Node that are made here, so that no test asks a registry for one."""

import base64
import hashlib
import io
import tarfile
import zipfile
from pathlib import Path

NAME = "tiny"  # of the package, its module and its command
VERSION = "1.0"

_WHEEL = {
    f"{NAME}.py": f"def main():\n    print('{NAME}')\n",
    f"{NAME}-{VERSION}.dist-info/METADATA": (
        f"Metadata-Version: 2.1\nName: {NAME}\nVersion: {VERSION}\n"
    ),
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


def wheel(folder: Path) -> str:
    """Make a wheel in a folder and return its SHA-256."""
    path = folder / f"{NAME}-{VERSION}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in _WHEEL.items():
            archive.writestr(name, text)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def node_archive(path: Path) -> str:
    """Make an archive as npm has it and return its integrity."""
    with tarfile.open(path, "w:gz") as archive:
        for name, text in _NODE.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text)
            entry.mode = 0o755
            archive.addfile(entry, io.BytesIO(text.encode()))
    digest = hashlib.sha512(path.read_bytes()).digest()
    return f"sha512-{base64.b64encode(digest).decode()}"
