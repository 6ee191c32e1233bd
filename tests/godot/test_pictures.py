"""The pictures of the documentation, taken from the real form and the real lobby."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.stack import ROOT
from tests.godot.engine import REQUIRED
from tests.godot.game import Game, assert_passed
from tests.godot.screen import NoScreen, screen

IMAGES = ROOT / "docs" / "images"
KEEP = "GAME_LOGIN_KEEP_PICTURES"  # saves them to docs/images
LARGEST = 200_000


@pytest.fixture(scope="module")
def display(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return a screen, or skip the test if none is available."""
    try:
        with screen(tmp_path_factory.mktemp("screen")) as display:
            yield display
    except NoScreen as missing:
        if os.environ.get(REQUIRED) == "1":
            pytest.fail(f"no screen, but {REQUIRED}=1: {missing}")
        pytest.skip(f"NO PICTURES WERE TAKEN: {missing}")


@pytest.mark.parametrize(("resolution", "suffix"), [("1280x720", ""), ("720x1280", "-tall")])
def test_pictures(
    game: Game,
    tmp_path: Path,
    display: str,
    socket_url: str,
    keyed_url: str,
    resolution: str,
    suffix: str,
) -> None:
    """The form is drawn in each of its states, on wide and on tall screens."""
    run = game.run(
        "pictures",
        tmp_path / "home",
        DISPLAY=display,
        GAME_LOGIN_TEST_SOCKET=socket_url,
        GAME_LOGIN_TEST_KEYED=keyed_url,
        GAME_LOGIN_TEST_RESOLUTION=resolution,
        GAME_LOGIN_TEST_PICTURES=str(tmp_path),
        GAME_LOGIN_TEST_SUFFIX=suffix,
    )
    assert_passed(run, "pictures", "", game.backend.secrets)
    taken = sorted(tmp_path.glob("*.png"))
    assert len(taken) == len(run.passed)
    for picture in taken:
        assert 2_000 < picture.stat().st_size < LARGEST, picture.name
        if os.environ.get(KEEP) == "1":
            IMAGES.mkdir(exist_ok=True)
            shutil.copy(picture, IMAGES / picture.name)
