"""The steps of a rehearsal, in order. Each returns its result, or raises a Problem."""

import base64
import hashlib
import io
import json
import re
import secrets
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from deploy.lambda_runtime import lambda_runtime
from deploy.python import VERSION, find_python
from local.database_server import DatabaseServer, Users
from local.processes import free_port
from local.terminal import Problem
from operate.player import RemotePlayer, expect
from tests.deploy.linting import lint
from tests.deploy.template_checks import CHECKS, careless_production
from tests.rehearsal.configuration import Configuration
from tests.rehearsal.operators import Desk, help_player
from tests.rehearsal.players import PASSWORD, RehearsedApi
from tests.rehearsal.serverless import COMPILED, Project, last_lines
from tests.rehearsal.stand_in import StandIn

STAGES = ("dev", "prod")
DATABASE_HOST = "localhost"  # a name, so that the certificate's is checked
CREATE = "CREATE TABLE rehearsed_{} (id INT NOT NULL PRIMARY KEY) ENGINE = InnoDB"
EXTENSIONS = "  - extensions:"
# It depends on the last resources, and its name is taken.
FAILS_LAST = """  - Resources:
      FailsLast:
        Type: AWS::Logs::LogGroup
        DependsOn: [Database, DatabaseSecretRotation, HttpApiStage, HttpLiveAlias, TokenSecret]
        Properties: {LogGroupName: /aws/lambda/game-login-prod-http, RetentionInDays: 1}
"""
# The resources that `serverless` creates first: the stack, with a bucket for the packages.
BEFORE_THE_FIRST = re.compile("serverlessdeploymentbucket|: game-login-prod$", re.IGNORECASE)
EVENTS = {"registered", "signed_in", "refreshed", "sign_in_failed", "guest_created", "operated"}
# The second version has no such route, like the versions before guests.
GUEST_ROUTE, NO_ROUTE = '"/v1/guest"', '"/v1/no-guest"'


def require(holds: object, otherwise: str) -> None:
    """Check a condition.

    Raises:
        Problem: it does not hold.
    """
    if not holds:
        raise Problem(otherwise)


class Rehearsal:
    """One rehearsal, with all its files in one folder."""

    def __init__(self, folder: Path, stages: Sequence[str] = STAGES) -> None:
        self.folder = folder
        self.stages = stages
        self.project = Project(folder / "project")
        self.player: RemotePlayer
        self.guest: RemotePlayer
        self._guest_secret = secrets.token_urlsafe(32)
        self._api: RehearsedApi
        self._database: DatabaseServer
        self._stand_in: StandIn
        self._started: list[DatabaseServer | StandIn] = []

    def stop(self) -> None:
        """Stop the servers."""
        while self._started:
            self._started.pop().stop()

    def package(self) -> str:
        """Build the package and compile the template of each stage."""
        said = []
        for stage in self.stages:
            done = self.project.must("package", "--stage", stage, "--package", f"out-{stage}")
            (size,) = re.findall(r"([\d.]+ MB)", done.output) or [""]
            said.append(f"{stage} {size}")
        return ", ".join(said)

    def lint(self) -> str:
        """Run cfn-lint on the templates."""
        paths = [self._template(stage) for stage in self.stages]
        done = lint(paths)
        require(done.returncode == 0, f"cfn-lint:\n{last_lines(done.stdout + done.stderr)}")
        return f"no findings in {len(paths)} templates"

    def assertions(self) -> str:
        """Run the checks that no scanner makes."""
        found = []
        for stage in self.stages:
            template = json.loads(self._template(stage).read_text())
            checks = [*CHECKS.values(), *([careless_production] if stage == "prod" else [])]
            found += [f"{stage}: {text}" for check in checks for text in check(template)]
        require(not found, "\n    ".join(["mistakes in the compiled template:", *found]))
        return f"{len(CHECKS) + 1} checks, no mistakes found"

    def start(self) -> str:
        """Start the database, the Lambda runtime and the stand-in."""
        python = find_python()
        if python is None:
            raise Problem(
                f"no Python {VERSION}, which the functions need: install it (`pyenv install"
                f" {VERSION}`, or your system's python{VERSION} and python{VERSION}-venv)"
            )
        users = Users(secrets.token_urlsafe(24), secrets.token_urlsafe(24))
        self._database = DatabaseServer(self.folder / "mariadb", users)
        self._started.append(self._database)
        self._database.start()
        self._stand_in = StandIn(
            Configuration(
                port=free_port(),
                folder=str(self.folder / "aws"),
                python=str(lambda_runtime(python)),
                database_host=DATABASE_HOST,
                database_port=self._database.port,
                database_ca_file=str(self._database.ca_file),
                admin_password=users.admin_password,
            )
        )
        self._started.append(self._stand_in)
        self._stand_in.start()
        self.project.endpoint = self._stand_in.endpoint
        with self._database.connect() as connection, connection.cursor() as cursor:
            cursor.execute("SELECT VERSION() AS version")
            (row,) = cursor.fetchall()
        server = str(row["version"]).partition("-")[0]
        return f"MariaDB {server}, the Lambda runtime for Python {VERSION}, and moto"

    def deploy(self) -> str:
        """Deploy the checked packages for the first time."""
        done = self.project.must("deploy", "--stage", "dev", "--package", "out-dev")
        migrations = done.line("migrations: ").split(", ")
        require(len(migrations) >= 3, f"not all migrations were applied: {migrations}")
        require(self._live("dev") == "1", f"version {self._live('dev')} is live, not 1")
        tables = self._tables()
        require("accounts" in tables, f"the table accounts is missing: {tables}")
        return f"{len(migrations)} migrations applied by the function itself, version 1 is live"

    def routes(self) -> str:
        """Check the deployed HTTP API."""
        service = self._stand_in.client("apigatewayv2")
        (api,) = service.get_apis()["Items"]
        (stage,) = service.get_stages(ApiId=api["ApiId"])["Items"]
        routes = {route["RouteKey"] for route in service.get_routes(ApiId=api["ApiId"])["Items"]}
        throttled = set(stage["RouteSettings"])
        require(throttled and throttled <= routes, f"throttled: {throttled}, routes: {routes}")
        require("$default" in routes, f"no route for the rest: {routes}")
        (integration,) = service.get_integrations(ApiId=api["ApiId"])["Items"]
        require(
            integration["IntegrationUri"].endswith(":live"),
            f"the API does not call the alias: {integration['IntegrationUri']}",
        )
        rate = stage["DefaultRouteSettings"]["ThrottlingRateLimit"]
        self._api = RehearsedApi(f"{self._stand_in.endpoint}/_http/{api['ApiId']}")
        return f"{len(routes)} routes, {len(throttled)} throttled below {rate:g}/s, all to `live`"

    def fetch_package(self) -> str:
        """Fetch the package of the live version and compare it with the built one."""
        function = self._stand_in.client("lambda").get_function(
            FunctionName="game-login-dev-http", Qualifier="live"
        )
        location = function["Code"]["Location"].removeprefix(self._stand_in.endpoint)
        fetched = self._stand_in.get(location)
        digest = base64.b64encode(hashlib.sha256(fetched).digest()).decode()
        built = (self.project.folder / "out-dev" / "game-login.zip").read_bytes()
        require(fetched == built, "the deployed package differs from the built one")
        require(
            digest == function["Configuration"]["CodeSha256"], "CodeSha256 is not the package's"
        )
        names = zipfile.ZipFile(io.BytesIO(fetched)).namelist()
        require("handler.py" in names, "the package has no handler.py")
        return f"{len(fetched) / 1e6:.1f} MB, {len(names)} files, as built"

    def play(self) -> str:
        """Play as Ada and as a guest, with the deployed package and secrets."""
        self.player = RemotePlayer(self._api, "Ada", PASSWORD)
        expect(201, self.player.register())
        expect(200, self.player.log_in())
        self.guest = RemotePlayer(self._api, "", "")
        expect(201, self.guest.enter(self._guest_secret, create=True))
        self._enter()
        self._refresh()
        me = expect(200, self.player.me())
        require(me["account"]["username"] == "Ada", f"GET /v1/me does not know Ada: {me}")
        expect(401, self.player.log_in(PASSWORD * 2))
        return "register 201, login 200, guest 201, refresh 200, me 200, wrong password 401"

    def support(self) -> str:
        """Help Ada as an operator, by the deployed functions."""
        help_player(Desk(self.project, self._stand_in), self.player, self.guest)
        return "suspended, shut out, lifted; the same by hand; `delete` by support refused"

    def _refresh(self) -> None:
        """Check that Ada and the guest are still signed in."""
        expect(200, self.player.refresh())
        expect(200, self.guest.refresh())

    def _enter(self) -> None:
        """Check that the guest secret opens the guest's account."""
        before = self.guest.id
        expect(200, self.guest.enter(self._guest_secret, create=False))
        require(self.guest.id == before, "the guest secret opens another account")

    def logs(self) -> str:
        """Check the logs of the functions."""
        written = [
            (path, line)
            for path in sorted((self.folder / "aws" / "log").rglob("*.log"))
            for line in path.read_text().splitlines()
        ]
        events = set()
        for path, line in written:
            try:
                events.add(json.loads(line).get("event"))
            except ValueError:
                raise Problem(f"{path.name}: not a line of JSON: {line}") from None
        require(events >= EVENTS, f"not in the log: {sorted(EVENTS - events)}")
        text = "\n".join(line for _, line in written)
        given = (PASSWORD, self._guest_secret, *self._api.tokens)
        for secret in (*given, *self._secret_values()):
            require(secret not in text, "a password, a key or a token is in a log")
        return f"{len(written)} lines, all JSON, without secrets"

    def deploy_unchanged(self) -> str:
        """Deploy the same version a month later: Lambda has put all functions to sleep."""
        self._keep_awake("rotate")
        self._stand_in.get("/_sleep")
        done = self.project.must("deploy", "--stage", "dev")
        require("No changes to deploy" in done.output, "deployed without changes:\n" + done.output)
        require(done.line("migrations: ") == "none to apply", done.output)
        require(self._live("dev") == "1", f"version {self._live('dev')} is live, not 1")
        return "a sleeping `migrate` woken; no changes, no migration, version 1 stays"

    def _keep_awake(self, function: str) -> None:
        """Send a function the event of its schedule, which keeps it awake."""
        events = self._stand_in.client("events")
        names = [str(rule["Name"]) for rule in events.list_rules()["Rules"]]
        (name,) = (name for name in names if function in name.lower())
        (target,) = events.list_targets_by_rule(Rule=name)["Targets"]
        answer = self._stand_in.client("lambda").invoke(
            FunctionName=target["Arn"], Payload=target["Input"]
        )
        said = answer["Payload"].read().decode()
        require("FunctionError" not in answer, f"`{function}` cannot be kept awake: {said}")

    def change_database(self) -> str:
        """Deploy the same stage with another database, which is refused before the build."""
        done = self.project.serverless("deploy", "--stage", "dev", "--param", "database=mysql")
        require(done.status != 0, "a change of database was deployed")
        require("this stage was deployed with mariadb" in done.output, last_lines(done.output))
        require(self._live("dev") == "1", f"version {self._live('dev')} is live, not 1")
        return "refused before the build: the new database would be empty"

    def deploy_changed(self) -> str:
        """Deploy more memory, and a migration."""
        self.project.replace("serverless.yml", "memorySize: 512", "memorySize: 640")
        self.project.replace("auth/api/routes.py", GUEST_ROUTE, NO_ROUTE)
        name = self.project.add_migration("rehearsed_good", CREATE.format("good"))
        done = self.project.must("deploy", "--stage", "dev")
        require(done.line("migrations: ") == name, done.output)
        require(done.line("live: ") == "version 2, before: 1", done.output)
        require("rehearsed_good" in self._tables(), "the migration has changed nothing")
        memory = self._function("live")["MemorySize"]
        require(memory == 640, f"the live version has {memory} MB")
        self._refresh()
        return f"{name} applied, then version 2 live; Ada is still signed in"

    def deploy_failing(self) -> str:
        """Deploy a migration that fails."""
        self.project.replace("serverless.yml", "memorySize: 640", "memorySize: 768")
        name = self.project.add_migration("rehearsed_bad", CREATE.format("good"))
        done = self.project.serverless("deploy", "--stage", "dev")
        require(done.status != 0, "a deployment succeeded although its migration failed")
        said = done.line("the migration failed: ")
        require(name in said and "Version 2 continues to serve" in said, said)
        require(self._live("dev") == "2", f"version {self._live('dev')} is live, not 2")
        self._refresh()
        return (
            f"refused ({said.partition('. ')[0].partition(': ')[2]}); version 2 continues to serve"
        )

    def deploy_mended(self) -> str:
        """Deploy again with that migration fixed."""
        (bad,) = (self.project.folder / "auth" / "store" / "migrations").glob("*_rehearsed_bad.sql")
        bad.write_text(CREATE.format("fixed"))
        self.project.replace("auth/api/routes.py", NO_ROUTE, GUEST_ROUTE)
        done = self.project.must("deploy", "--stage", "dev")
        require(done.line("migrations: ") == bad.name, done.output)
        require(done.line("live: ") == "version 4, before: 2", done.output)
        self._refresh()
        self._enter()
        return "version 4 live, before: 2"

    def roll_back(self) -> str:
        """Roll back to the previous version, and forward by a deployment."""
        back = self.project.must("rollback-live", "--stage", "dev")
        require(back.line("live: ") == "version 2, rolled back from: 4", back.output)
        said = back.line("if that is a version without guests: ")
        require("no event is recorded" in said, back.output)
        said = back.line("if that is a version without tickets: ")
        require("Accounts and sessions are not affected" in said, back.output)
        said = back.line("if that is a version without the feed: ")
        require("Start them without the key meanwhile" in said, back.output)
        self._refresh()
        refused = self.guest.enter(self._guest_secret, create=False)
        require((refused.status, refused.code) == (404, "not_found"), f"a guest got {refused}")
        again = self.project.serverless("rollback-live", "--stage", "dev")
        require(again.status != 0, "a second rollback succeeded without --to:\n" + again.output)
        self.project.must("rollback-live", "--stage", "dev", "--to", "1")
        require(self._live("dev") == "1", f"version {self._live('dev')} is live, not 1")
        forward = self.project.must("deploy", "--stage", "dev")
        require(forward.line("live: ") == "version 4, before: 1", forward.output)
        self._refresh()
        self._enter()
        return "from 4 to 2 at once, to 1 with --to, and to 4 by a deployment; a guest stays"

    def prune(self) -> str:
        """Deploy after many deployments, which keeps only some of their versions."""
        service = self._stand_in.client("lambda")
        name = "game-login-dev-http"
        before = self._live("dev")
        for number in range(4):
            service.update_function_configuration(FunctionName=name, Description=f"{number}")
            service.publish_version(FunctionName=name)
        self.project.replace("serverless.yml", "memorySize: ", "memorySize: 1")
        done = self.project.must("deploy", "--stage", "dev")
        published = service.list_versions_by_function(FunctionName=name)["Versions"]
        versions = [int(one["Version"]) for one in published if one["Version"] != "$LATEST"]
        live = int(self._live("dev"))
        kept = sorted({1, int(before), live - 2, live - 1, live})
        require(sorted(versions) == kept, f"versions {versions} exist, not {kept}")
        deleted = done.line("old versions: ")
        return f"{deleted}; {len(kept)} of {live} versions are kept"

    def shortcuts(self) -> str:
        """Try the commands that would bypass the migrations."""
        for arguments in (("deploy", "function", "--function", "http"), ("rollback", "-t", "1")):
            done = self.project.serverless(*arguments, "--stage", "dev")
            require(done.status != 0, f"`serverless {arguments[0]}` is not refused")
            require("would bypass the migrations" in done.output, last_lines(done.output))
        return "`deploy function` and `rollback` refused"

    def info(self) -> str:
        """Show the deployed stage."""
        done = self.project.must("info", "--stage", "dev")
        for text in ("endpoint", "https://", "game-login-dev-http", "game-login-dev-migrate"):
            require(text in done.output, f"`info` does not name {text}:\n{done.output}")
        return "the endpoint and the functions"

    def remove(self) -> str:
        """Remove the stage, and look for leftovers."""
        self.project.must("remove", "--stage", "dev")
        left = self._left()
        require(not left, f"left behind: {left}")
        return "nothing is left"

    def fail_production(self) -> str:
        """Deploy `prod` for the first time, with a resource that fails after all others."""
        unchanged = self.project.serverless("deploy", "--stage", "prod")
        require(unchanged.status != 0, "a placeholder was deployed as allowed origin")
        require("corsOrigins" in unchanged.output, last_lines(unchanged.output))
        self.project.replace("serverless.yml", "https://game.example.com", "https://game.test")
        self._leave_secret("game-login/prod/tokens")
        self.project.replace("serverless.yml", EXTENSIONS, FAILS_LAST + EXTENSIONS)
        done = self.project.serverless("deploy", "--stage", "prod")
        require(done.status != 0, "a deployment succeeded although a resource cannot be created")
        require("specified log group already exists" in done.output, last_lines(done.output))
        left = [name for name in self._left() if not BEFORE_THE_FIRST.search(name)]
        require(not left, f"left behind by a first deployment that failed: {left}")
        self.project.replace("serverless.yml", FAILS_LAST, "")
        return "placeholder and leftover secret refused; last resource failed: all rolled back"

    def _leave_secret(self, name: str) -> None:
        """Deploy while a secret is left over from an earlier stage."""
        service = self._stand_in.client("secretsmanager")
        service.create_secret(Name=name, SecretString="{}")
        done = self.project.serverless("deploy", "--stage", "prod")
        require(done.status != 0, f"deployed although {name} exists already")
        require(
            f"{name} is there already, and belongs to no" in done.output, last_lines(done.output)
        )
        service.delete_secret(SecretId=name, ForceDeleteWithoutRecovery=True)

    def deploy_production(self) -> str:
        """Deploy `prod` again, fixed; then its database cannot be removed by mistake."""
        done = self.project.must("deploy", "--stage", "prod")
        require(done.line("live: ") == "version 1", done.output)
        require(done.line("database: ") == "protected against deletion", done.output)
        snap_start = self._function("live", "prod")
        require(snap_start["State"] == "Active", f"version 1 is {snap_start['State']}")
        refused = self.project.serverless("remove", "--stage", "prod")
        require(refused.status != 0, "a protected stage was removed")
        require("deletion protection is enabled" in refused.output, last_lines(refused.output))
        unknown = json.loads(self._stand_in.get("/_unknown"))
        require(not unknown, f"in no stack: {unknown}")
        self._try_to_delete("prod")
        return "version 1 live; `remove` and the deletion of the database refused"

    def _try_to_delete(self, stage: str) -> None:
        """Delete the stack without `serverless`; the database's protection must refuse it."""
        service = self._stand_in.client("cloudformation")
        try:
            service.delete_stack(StackName=f"game-login-{stage}")
        except service.exceptions.ClientError as error:
            require("Database is protected" in str(error), str(error))
        else:
            raise Problem("the database is not protected against deletion")

    def _template(self, stage: str) -> Path:
        return self.project.folder / f"out-{stage}" / COMPILED

    def _live(self, stage: str) -> str:
        alias = self._stand_in.client("lambda").get_alias(
            FunctionName=f"game-login-{stage}-http", Name="live"
        )
        return str(alias["FunctionVersion"])

    def _function(self, qualifier: str, stage: str = "dev") -> Mapping[str, Any]:
        found: Mapping[str, Any] = self._stand_in.client("lambda").get_function_configuration(
            FunctionName=f"game-login-{stage}-http", Qualifier=qualifier
        )
        return found

    def _tables(self) -> set[str]:
        with self._database.connect() as connection, connection.cursor() as cursor:
            cursor.execute("SHOW TABLES")
            return {str(name) for row in cursor.fetchall() for name in row.values()}

    def _secret_values(self) -> list[str]:
        """Return the deployed passwords and keys."""
        service = self._stand_in.client("secretsmanager")
        values: list[str] = []
        for secret in service.list_secrets()["SecretList"]:
            kept = service.get_secret_value(SecretId=secret["ARN"], VersionStage="AWSCURRENT")
            held = json.loads(kept["SecretString"])
            values += [held["password"]] if "password" in held else held["mac_keys"].values()
        require(len(values) >= 3, f"{len(values)} secrets are deployed")
        return values

    def _left(self) -> list[str]:
        """Return all existing resources of the kinds that a stage has."""
        lists = {
            ("lambda", "list_functions", "Functions"): "FunctionName",
            ("s3", "list_buckets", "Buckets"): "Name",
            ("secretsmanager", "list_secrets", "SecretList"): "Name",
            ("apigatewayv2", "get_apis", "Items"): "Name",
            ("logs", "describe_log_groups", "logGroups"): "logGroupName",
            ("iam", "list_roles", "Roles"): "RoleName",
            ("events", "list_rules", "Rules"): "Name",
            ("sns", "list_topics", "Topics"): "TopicArn",
            ("cloudformation", "describe_stacks", "Stacks"): "StackName",
        }
        left: list[str] = json.loads(self._stand_in.get("/_left"))
        for (service, operation, listed), name in lists.items():
            found = getattr(self._stand_in.client(service), operation)()
            left += [f"{service}: {one[name]}" for one in found[listed]]
        return left
