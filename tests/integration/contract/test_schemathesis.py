"""Schemathesis sends requests that docs/contract/openapi.json allows and ones that it forbids."""

import copy
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as examples
from schemathesis import Case, GenerationMode
from schemathesis.core.failures import FailureGroup

import handler
from auth.api.forms import Confirmed
from auth.api.routes import ROUTES
from auth.app import create_app
from auth.credentials.passwords import Passwords
from auth.settings import Settings
from tests.conftest import Tables
from tests.play.game_servers import new_key
from tests.play.gateway import gateway
from tests.play.guests import Guest
from tests.play.judge import FILE, ours
from tests.play.players import Player

pytestmark = pytest.mark.search

DOCUMENT = ours(json.loads(FILE.read_text()))
SOME = examples(
    max_examples=25,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
CONFIRMED = {
    (route.method, route.path)
    for route in ROUTES
    if route.body and issubclass(route.body, Confirmed)
}
# A schema cannot express why a name, key or password is refused: taken, reserved or guessable.
CONFIG = {
    "checks": {
        "positive_data_acceptance": {
            "expected-statuses": ["2xx", "401", "403", "404", "409", "422"],
        }
    }
}


def load(document: dict[str, Any], **checks: Any) -> Any:
    """Return a document loaded by Schemathesis, with the handler behind it."""
    config = schemathesis.Config.from_dict(
        {
            "checks": {**CONFIG["checks"], **checks},
            "generation": {"allow-extra-parameters": False},  # unknown parameters are ignored
        }
    )
    schema = schemathesis.openapi.from_dict(copy.deepcopy(document), config=config)
    schema.app = gateway
    return schema


schema = load(DOCUMENT)


@pytest.fixture(autouse=True)
def _quick(tables: Tables, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the handler hash cheaply and without rate limits."""
    application = create_app(
        replace(settings, rate_limit_scale=1e6), passwords=Passwords(memory_kib=8, iterations=1)
    )
    monkeypatch.setattr(handler, "application", application)
    yield
    application.close()


def send(case: Case[Any]) -> None:
    """Send a case as a new player or guest and run every check on the answer."""
    player = confirmed(case)
    # Half of the allowed cases get right values, or none would get past the password.
    if is_allowed(case) and len(str(case.body)) % 2:
        give_right_values(case, player)
    case.call_and_validate(headers={"Authorization": f"Bearer {token_of(case, player)}"})


def token_of(case: Case[Any], player: Player) -> str:
    """Return the token, or the key of a game server, that the route wants."""
    if not case.path.startswith("/v1/server/"):
        return player.access_token
    if is_allowed(case) and isinstance(case.body, dict):
        case.body |= {"ticket": player.ticket("eu-1"), "server": "eu-1"}
    return new_key()


def give_right_values(case: Case[Any], player: Player) -> None:
    """Replace the values that a body has by the player's own."""
    known = {
        "username": player.username,
        "password": player.password,
        "current_password": player.password,
        "refresh_token": player.refresh_token,
    }
    if isinstance(player, Guest):
        known["guest_secret"] = player.secret
    if isinstance(case.body, dict):
        case.body = {
            name: value if value is None else known.get(name, value)
            for name, value in case.body.items()
        }


def is_allowed(case: Case[Any]) -> bool:
    """Tell whether the file allows the case."""
    return case.meta is None or case.meta.generation.mode is GenerationMode.POSITIVE


def confirmed(case: Case[Any]) -> Player:
    """Leave one confirmation in an allowed body; return a new caller who can have it.

    A schema that generates clients cannot express that two optional fields exclude each other.
    """
    takes_confirmation = (case.method, case.path) in CONFIRMED
    if not is_allowed(case) or not isinstance(case.body, dict):
        return registered()
    body = {name: value for name, value in case.body.items() if value is not None}
    if "recovery_code" in body:
        return coming_back(case, body)
    if takes_confirmation and {"password", "guest_secret"} <= set(body):
        unused = "password" if len(str(body)) % 3 == 0 else "guest_secret"
        del body[unused]
        case.body = case.body | {unused: None}
    if "guest_secret" in body:
        return a_guest()
    if takes_confirmation and "password" not in body:
        if case.path == "/v1/me/username":  # a guest's generated name needs none
            return a_guest()
        case.body = case.body | {"password": "a guess"}
    return registered()


def coming_back(case: Case[Any], body: dict[str, Any]) -> Player:
    """Leave one new proof in an allowed body, with a right code, and return its owner."""
    player = a_guest() if "guest_secret" in body else registered()
    unused = "new_password" if "guest_secret" in body else "guest_secret"
    case.body = {**body, "recovery_code": player.saved_code(), unused: None}
    if not {"guest_secret", "new_password"} & body.keys():
        case.body |= {"new_password": "a newly chosen one"}
    return player


def registered() -> Player:
    """Return a new player."""
    player = Player()
    assert player.register().status == 201
    return player


def a_guest() -> Guest:
    """Return a new guest."""
    guest = Guest()
    assert guest.enter(create=True).status == 201
    return guest


@schema.parametrize()  # type: ignore[untyped-decorator]
@SOME
def test_every_route(case: Case[Any]) -> None:
    """Allowed requests are accepted, forbidden ones refused, and every answer is described."""
    send(case)


def test_one_call_leads_to_the_next(tables: Tables) -> None:
    """The file's links turn one answer into a next request that is accepted."""
    calls: list[str] = []

    # The token is added outside of Schemathesis, which would otherwise see no authentication.
    linked = load(DOCUMENT, ignored_auth={"enabled": False})

    class Story(linked.as_state_machine()):  # type: ignore[misc]
        def setup(self) -> None:
            """Start without players, so that a repeated story gives the same answers."""
            tables.empty()

        def get_call_kwargs(self, case: Case[Any]) -> dict[str, Any]:
            """Call as a new player or guest."""
            player = confirmed(case)
            # Without them no sign-in would succeed. The token of a refresh stays that of the link.
            if is_allowed(case) and case.path in ("/v1/login", "/v1/guest"):
                give_right_values(case, player)
            return {"headers": {"Authorization": f"Bearer {token_of(case, player)}"}}

        def after_call(self, response: Any, case: Case[Any]) -> None:
            """Note the call and its status."""
            calls.append(f"{case.method} {case.path} {response.status_code}")

    Story.run(settings=examples(SOME, max_examples=40, stateful_step_count=6))
    assert "POST /v1/refresh 200" in calls


def _other_status(document: Any) -> None:
    responses = document["paths"]["/v1/health"]["get"]["responses"]
    responses["204"] = responses.pop("200")


def _other_body(document: Any) -> None:
    document["components"]["schemas"]["Health"]["properties"]["status"]["const"] = "well"


def _other_header(document: Any) -> None:
    document["components"]["headers"]["Cache-Control"]["schema"]["const"] = "public"


def _other_media_type(document: Any) -> None:
    content = document["paths"]["/v1/health"]["get"]["responses"]["200"]["content"]
    content["text/html"] = content.pop("application/json")


@pytest.mark.parametrize("plant", [_other_status, _other_body, _other_header, _other_media_type])
def test_a_wrong_file_is_found(plant: Callable[[Any], None]) -> None:
    """A file that describes the handler wrongly is detected."""
    wrong = copy.deepcopy(DOCUMENT)
    plant(wrong)
    for document, fails in ((DOCUMENT, False), (wrong, True)):
        cases = load(document)["/v1/health"]["GET"].as_strategy()
        once = examples(SOME, max_examples=1, phases=[Phase.generate])(given(cases)(send))  # type: ignore[no-untyped-call]
        if fails:
            with pytest.raises(FailureGroup):
                once()
        else:
            once()


def test_another_type_is_found() -> None:
    """A file that allows refused requests is detected."""
    for name, described in (("wrong", {"type": "integer"}), ("right", {"type": "string"})):
        document = copy.deepcopy(DOCUMENT)
        document["components"]["schemas"]["Refresh"]["properties"]["refresh_token"] = described
        cases = load(document)["/v1/refresh"]["POST"].as_strategy(
            generation_mode=GenerationMode.POSITIVE
        )
        once = examples(SOME, max_examples=3, phases=[Phase.generate])(given(cases)(send_as_it_is))  # type: ignore[no-untyped-call]
        if name == "wrong":
            with pytest.raises(FailureGroup):
                once()
        else:
            once()


def send_as_it_is(case: Case[Any]) -> None:
    """Send a case without correcting its values."""
    case.call_and_validate()
