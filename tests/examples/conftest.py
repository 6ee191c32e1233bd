"""Puts the examples where they import from: a game server has them in one folder."""

import sys

from local.stack import ROOT

sys.path.insert(0, str(ROOT / "examples"))
