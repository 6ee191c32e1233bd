"""Installs what an npm lock file lists, into a folder that git ignores."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from local.stack import ROOT
from local.terminal import Problem, say


@dataclass(frozen=True)
class NpmPackages:
    """The packages of a `package-lock.json`."""

    source: Path  # the folder of package.json and package-lock.json
    name: str  # of the folder to install into
    purpose: str

    @property
    def folder(self) -> Path:
        """Return the folder with `node_modules`."""
        return ROOT / ".local" / self.name

    @property
    def modules(self) -> Path:
        """Return the packages."""
        return self.folder / "node_modules"

    @property
    def lock(self) -> Path:
        """Return the lock file."""
        return self.source / "package-lock.json"

    def install(self) -> None:
        """Install the packages, unless they are already installed in the lock file's versions.

        Raises:
            Problem: npm failed.
        """
        if self._is_installed():
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        self._installed.unlink(missing_ok=True)
        for file in (ROOT / ".npmrc", self.source / "package.json", self.lock):
            shutil.copy(file, self.folder)
        say(f"installing {self.purpose}")
        npm = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        try:
            done = subprocess.run(npm, cwd=self.folder, check=False)
        except FileNotFoundError:
            raise Problem("npm is missing: it comes with Node") from None
        if done.returncode:
            lock = self.lock.relative_to(ROOT)
            raise Problem(f"the packages of {lock} could not be installed: see above")
        shutil.copy(self.lock, self._installed)

    def check(self, module: str) -> None:
        """Check that the packages are installed.

        Raises:
            Problem: they are not; the text names the module that installs them.
        """
        if not self._is_installed():
            raise Problem(f"first run: .venv/bin/python -m {module}")

    @property
    def _installed(self) -> Path:
        """Return the path of a copy of the lock file, written after everything is installed."""
        return self.folder / "installed"

    def _is_installed(self) -> bool:
        return self._installed.exists() and self._installed.read_bytes() == self.lock.read_bytes()
