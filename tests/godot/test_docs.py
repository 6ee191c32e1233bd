"""The addon and its README match the backend and each other."""

import re
from pathlib import Path

from local.stack import ROOT
from tests.unit.test_docs import errors, routes_in_code

ADDON = ROOT / "clients" / "godot" / "addons" / "game_login"
README = (ROOT / "clients" / "godot" / "README.md").read_text()
OWN_CODES = {"no_session", "busy", "unsafe_address", "invalid_header"}
CODE = re.compile(r'code [!=]= "(\w+)"')
ROUTE = re.compile(r'"(/v1/[a-z/]+)"')
PUBLIC = re.compile(r"^(?:func|var|signal) ([a-z]\w*)", re.MULTILINE)
KIND = re.compile(r"^\t([A-Z_]+),  ##", re.MULTILINE)


def test_codes_and_routes() -> None:
    """The addon uses only codes and routes that the backend has."""
    text = "".join(path.read_text() for path in ADDON.rglob("*.gd"))
    codes, routes = set(CODE.findall(text)), set(ROUTE.findall(text))
    assert {"session_ended", "invalid_token"} < codes
    assert codes <= {error.code for error in errors()} | OWN_CODES
    assert "/v1/refresh" in routes
    assert routes <= {path for _method, path in routes_in_code()}


def test_readme() -> None:
    """The README names every public function, property, signal and kind of result."""
    public = set(PUBLIC.findall((ADDON / "game_login.gd").read_text()))
    inner = {"refreshed", "request_seconds", "is_ticket_in_message"}
    kinds = KIND.findall((ADDON / "result.gd").read_text())
    assert {"login", "state_changed", "base_url"} < public
    assert len(kinds) == 10
    for name in (*(public - inner), *kinds):
        assert re.search(rf"`{name}\b|\b{name}`|`[\w, ]*\b{name}\(", README), name


def test_the_oldest_engine() -> None:
    """The READMEs, and the plugin's description in the editor, name the required Godot version."""
    texts = (ROOT / "README.md").read_text(), README, (ADDON / "plugin.cfg").read_text()
    for text in texts:
        assert "Godot 4.4 or newer" in text


def test_pictures() -> None:
    """The pictures in the README exist."""
    shown = re.findall(r"\.\./\.\./(docs/images/[\w-]+\.png)", README)
    names = {Path(picture).stem for picture in shown}
    assert {"form", "form-error", "form-busy", "form-tall", "lobby", "lobby-tall"} < names
    for picture in shown:
        assert (ROOT / picture).exists(), picture
