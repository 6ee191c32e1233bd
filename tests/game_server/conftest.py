"""Adds the example's folder to the import path: a game server has its files in one folder."""

import sys

from local.stack import ROOT

sys.path.insert(0, str(ROOT / "clients" / "game_server"))
