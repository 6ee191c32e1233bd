"""The rehearsal finds planted mistakes, and names the step and the reason."""

import copy
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from deploy.python import find_python
from local.terminal import Problem
from tests.deploy.mistakes import MISTAKES
from tests.deploy.template_checks import Template
from tests.deploy.test_template import folders as folders  # noqa: PLC0414  # a fixture
from tests.deploy.test_template import templates as templates  # noqa: PLC0414  # a fixture
from tests.rehearsal.__main__ import Step, rehearse
from tests.rehearsal.serverless import COMPILED, Project
from tests.rehearsal.steps import Rehearsal

needs_python = pytest.mark.skipif(
    find_python() is None, reason="no python3.13 here (PATH, pyenv): NOTHING WAS DEPLOYED"
)
START: tuple[Step, ...] = (("package", Rehearsal.package), ("start", Rehearsal.start))
DEPLOY: tuple[Step, ...] = (*START, ("deploy", Rehearsal.deploy))
PLAY: tuple[Step, ...] = (
    *DEPLOY,
    ("routes", Rehearsal.routes),
    ("play", Rehearsal.play),
    ("logs", Rehearsal.logs),
)
HELPED: tuple[Step, ...] = (*PLAY[:-1], ("help", Rehearsal.support))
AGAIN: tuple[Step, ...] = (*DEPLOY, ("unchanged", Rehearsal.deploy_unchanged))
CHANGED: tuple[Step, ...] = (*DEPLOY, ("change", Rehearsal.change_database))
PRUNED: tuple[Step, ...] = (*DEPLOY, ("prune", Rehearsal.prune))
FIRST: tuple[Step, ...] = (*START, ("fail", Rehearsal.fail_production))
PRODUCTION: tuple[Step, ...] = (*FIRST, ("again", Rehearsal.deploy_production))
QUEUE = "  - Resources: {Queue: {Type: AWS::SQS::Queue}}\n  - extensions:"
WRONG = (
    "  - Resources: {Queue: {Type: AWS::SQS::Queue, Properties: {Colour: red}}}\n  - extensions:"
)


@pytest.fixture(scope="module")
def rehearsal(tmp_path_factory: pytest.TempPathFactory) -> Rehearsal:
    """Return a rehearsal of production, with a place for its compiled template."""
    rehearsal = Rehearsal(tmp_path_factory.mktemp("production"), ["prod"])
    (rehearsal.project.folder / "out-prod").mkdir()
    return rehearsal


def put(rehearsal: Rehearsal, template: Template) -> None:
    """Put a compiled template in the place of the rehearsal's own."""
    (rehearsal.project.folder / "out-prod" / COMPILED).write_text(json.dumps(template))


def test_sound_template(templates: dict[str, Template], rehearsal: Rehearsal) -> None:
    """The unchanged template passes, so a failure below comes from its planted mistake."""
    put(rehearsal, templates["prod"])
    assert "no mistakes found" in rehearsal.assertions()
    assert "no findings" in rehearsal.lint()


@pytest.mark.parametrize(("_name", "spoil"), MISTAKES)
def test_mistake_in_the_template(
    templates: dict[str, Template],
    rehearsal: Rehearsal,
    _name: str,
    spoil: Callable[[Template], None],
) -> None:
    """The rehearsal makes the same checks as the tests: each planted mistake ends it."""
    template = copy.deepcopy(templates["prod"])
    spoil(template)
    put(rehearsal, template)
    with pytest.raises(Problem, match="mistakes in the compiled template"):
        rehearsal.assertions()


def test_no_credentials(tmp_path: Path) -> None:
    """Missing AWS credentials are reported in one line, before anything is built."""
    done = Project(tmp_path / "project").serverless("deploy", "--stage", "dev")
    assert done.status != 0
    assert "no AWS credentials: sign in" in done.output
    assert "MB" not in done.output


def replace(path: str, *texts: str) -> Callable[[Project], object]:
    """Return a mistake: replaced texts in a file, given as old, new, old, new."""

    def plant(project: Project) -> None:
        for old, new in zip(texts[::2], texts[1::2], strict=True):
            project.replace(path, old, new)

    return plant


def both(*mistakes: Callable[[Project], object]) -> Callable[[Project], object]:
    """Combine several mistakes into one."""
    return lambda project: [plant(project) for plant in mistakes]


@needs_python
@pytest.mark.parametrize(
    ("plant", "steps", "failing", "why"),
    [
        (
            lambda project: project.add_migration("wrong", "CREATE TABLE accounts (id INT)"),
            DEPLOY,
            "deploy",
            "wrong.sql: error 1050 TABLE_EXISTS_ERROR",
        ),
        (
            replace("serverless.yml", "  - extensions:", QUEUE),
            DEPLOY,
            "deploy",
            "AWS::SQS::Queue, which the stand-in does not know",
        ),
        (
            replace("requirements.txt", "msgspec==", "# msgspec=="),
            DEPLOY,
            "deploy",
            "No module named 'msgspec'",
        ),
        (
            replace("serverless.yml", "handler: handler.migrate", "handler: handler.migrates"),
            DEPLOY,
            "deploy",
            "Handler 'migrates' missing",
        ),
        (
            replace("serverless.yml", "  - extensions:", WRONG),
            (("package", Rehearsal.package), ("lint", Rehearsal.lint)),
            "lint",
            "Colour",
        ),
        (
            replace("serverless.yml", "logFormat: JSON", "logFormat: Text"),
            PLAY,
            "logs",
            "not a line of JSON",
        ),
        (
            replace("auth/api/gateway.py", 'begin_request("")', 'begin_request(""); print(event)'),
            PLAY,
            "logs",
            "not a line of JSON",
        ),
        (
            replace("auth/jobs/operate.py", "command.role is not self.role", "not command.role"),
            HELPED,
            "help",
            "operate_support may delete an account",
        ),
        (
            replace("serverless.yml", "TOKEN_SECRET_ID: game-login", "TOKEN_SECRET_ID: another"),
            DEPLOY,
            "deploy",
            "the migration failed",
        ),
        (
            replace("deploy/live.js", "!NOTHING_RAN.includes(error.name)", "true"),
            AGAIN,
            "unchanged",
            "the migration gave no answer: CodeArtifactUserPendingException",
        ),
        (
            replace("auth/jobs/rotation.py", "raw == WAKE", "raw is WAKE"),
            AGAIN,
            "unchanged",
            "`rotate` cannot be kept awake",
        ),
        (
            replace("deploy/plugin.js", "this.preflight.run()", "undefined"),
            CHANGED,
            "change",
            "a change of database was deployed",
        ),
        (
            replace("deploy/live.js", "newest.slice(KEPT)", "newest.slice(99)"),
            PRUNED,
            "prune",
            "versions [1, 2, 3, 4, 5, 6] exist, not [1, 4, 5, 6]",
        ),
        (
            both(
                replace("serverless.yml", "Policy: RetainExceptOnCreate", "Policy: Retain"),
                replace("deploy/plugin.js", "this.protection.compile()", "{}"),
            ),
            FIRST,
            "fail",
            ("Database (AWS::RDS::DBInstance)", "TokenSecret (AWS::SecretsManager::Secret)"),
        ),
        (
            replace("deploy/plugin.js", "await this.protection.switchOn()", ""),
            PRODUCTION,
            "again",
            "no line begins with 'database: '",
        ),
    ],
    ids=[
        *("a migration that fails", "a refused template", "a missing module"),
        *("a missing function", "a wrong property", "a log of text", "an extra line"),
        "a function that runs the commands of every role",
        *("a missing secret", "a sleeping migration", "a rotation that falls asleep"),
        *("another database", "versions that are never deleted"),
        *("leftovers of a failed first deployment", "a database that is never protected"),
    ],
)
def test_mistake_in_the_deployment(
    plant: Callable[[Project], object],
    steps: tuple[Step, ...],
    failing: str,
    why: str | tuple[str, ...],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A planted mistake ends the rehearsal in the affected step, with the reason."""

    def planted(rehearsal: Rehearsal) -> str:
        plant(rehearsal.project)
        return "planted"

    stages = ["prod"] if ("fail", Rehearsal.fail_production) in steps else ["dev"]
    assert rehearse(tmp_path / "rehearsal", [("plant", planted), *steps], stages) == 1
    printed = capsys.readouterr().out
    before, _, after = printed.partition("FAILED")
    assert before.splitlines()[-1].split()[-1] == failing, printed
    for text in [why] if isinstance(why, str) else why:
        assert text in after
