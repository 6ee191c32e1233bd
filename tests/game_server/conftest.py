"""Puts the example where it imports from: a game server has its files in one folder."""

import sys

from local.stack import ROOT

sys.path.insert(0, str(ROOT / "clients" / "game_server"))
