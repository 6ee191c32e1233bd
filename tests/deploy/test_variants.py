"""Every database, the proxy and the domain, compiled by the real `serverless` and checked."""

import copy
import fcntl
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from deploy.preflight import fitting
from local.stack import ROOT
from tests.deploy.linting import lint, versions
from tests.deploy.mistakes import put
from tests.deploy.template_checks import CHECKS, Template, careless_production
from tests.deploy.template_parts import resources
from tests.deploy.test_template import COMPILED, serverless

CERTIFICATE = "arn:aws:acm:us-east-1:123456789012:certificate/12345678-1234-1234-1234-123456789012"
ADMIN = "arn:aws:secretsmanager:us-east-1:123456789012:secret:rds!db-1-AbCdEf"
DOMAIN = {
    "domainName": "login.game.io",
    "certificateArn": CERTIFICATE,
    "hostedZoneId": "Z123456789",
}
EXISTING = {
    "existingHost": "db.game.io",
    "existingAdminSecret": ADMIN,
    "existingIdentifier": "games",
    "existingVpc": "vpc-12345678",
    "existingSubnets": "[subnet-11111111, subnet-22222222]",
    "existingSecurityGroup": "sg-11111111",
    "existingEndpointSecurityGroup": "sg-22222222",
}
# Options on the command line. The plain MariaDB is in test_template.py.
VARIANTS = {
    **{f"{name}-{stage}": [stage, f"database={name}"]
       for name in ("mysql", "aurora") for stage in ("dev", "prod")},
    "existing-dev": ["dev", "database=existing", "secretsEndpoint=existing"],
    "existing-prod": [
        *("prod", "database=existing", "existingEngine=mysql", "domain=elsewhere"),
        "secretsEndpoint=own",
        "existingDimension=DBClusterIdentifier",
    ],
    "mariadb-proxy": ["prod", "proxy=true", "domain=route53", "reserveConcurrency=false"],
    "arm64": ["dev", "architecture=arm64", "backupWindow=18:00-18:30"],
    "no-guests": ["dev", "guests=false", "guestDays=0"],
    "budget": ["dev", "monthlyBudget=50"],
    "trusted-proxy": ["dev", "trustedProxy=true"],
    "mysql-proxy": ["prod", "database=mysql", "proxy=true"],
    "aurora-proxy": ["prod", "database=aurora", "proxy=true"],
}  # fmt: skip


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Callable[[str], Path]:
    """Return a function that compiles a variant once for all workers, without the package."""
    shared = tmp_path_factory.getbasetemp()
    if worker_id != "master":
        shared = shared.parent
    service = _service(tmp_path_factory.mktemp("service"))
    elsewhere = _service(tmp_path_factory.mktemp("elsewhere"))
    text = (elsewhere / "serverless.yml").read_text()
    text = re.sub(r"(secretsEndpointSubnets:) \[.*\]", r"\1 [subnet-11111111]", text)
    (elsewhere / "serverless.yml").write_text(text)

    def compiled(variant: str) -> Path:
        folder = shared / f"variant-{variant}"
        with (shared / f"{variant}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not (folder / COMPILED).exists():
                stage, *parameters = VARIANTS[variant]
                options = [word for text in parameters for word in ("--param", text)]
                serverless(
                    *("package", "--stage", stage, "--package", str(folder), *options),
                    at=elsewhere if variant.startswith("existing") else service,
                )
        return folder / COMPILED

    return compiled


def _service(folder: Path) -> Path:
    """Copy the sources of the template, with an existing network filled in and a ready zip."""
    text = (ROOT / "serverless.yml").read_text()
    values = {**EXISTING, **DOMAIN}
    for name, value in values.items():
        empty = "[]" if value.startswith("[") else '""'
        assert f"    {name}: {empty}" in text
        text = text.replace(f"    {name}: {empty}", f"    {name}: {value}")
    text = text.replace("  - ./deploy/plugin.js # builds the package\n", "")
    (folder / "serverless.yml").write_text(f"{text}\npackage:\n  artifact: there.zip\n")
    (folder / "there.zip").write_bytes(b"PK\5\6" + bytes(18))
    for plugins in ("deploy", "local"):
        shutil.copytree(ROOT / plugins, folder / plugins)
    (folder / "node_modules").symlink_to(ROOT / "node_modules")
    return folder


Build = Callable[[str], Path]


def template_of(build: Build, variant: str) -> Template:
    """Return the compiled template of a variant."""
    template: Template = json.loads(build(variant).read_text())
    return template


@pytest.mark.parametrize("variant", VARIANTS)
def test_sound(build: Build, variant: str) -> None:
    """No check finds a mistake in any variant, and in production the data survive mistakes."""
    template = template_of(build, variant)
    checks = [*CHECKS.values()]
    if VARIANTS[variant][0] == "prod":
        checks.append(careless_production)
    found = [line for check in checks for line in check(template)]
    assert found == []
    assert ("Budget" in template["Resources"]) is (variant == "budget")


def test_lint(build: Build) -> None:
    """cfn-lint has no findings."""
    done = lint(build(variant) for variant in VARIANTS)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


ENGINES = {"mariadb": "mariadb", "mysql": "mysql", "aurora": "aurora-mysql"}


@pytest.mark.parametrize("database", ENGINES)
def test_engine_version(database: str) -> None:
    """RDS has the version, or a version of its series."""
    text = (ROOT / "deploy" / "infrastructure" / "database" / f"{database}.yml").read_text()
    (version,) = re.findall(r'^version: "?([\w.]+)', text, re.MULTILINE)
    assert fitting(version, versions(ENGINES[database])), version


@pytest.mark.parametrize(
    ("variant", "support"),
    [
        ("mysql-dev", "open-source-rds-extended-support-disabled"),
        ("aurora-dev", "open-source-rds-extended-support-disabled"),
        ("mariadb-proxy", {"Ref": "AWS::NoValue"}),  # it has none, and RDS refuses the property
    ],
)
def test_no_paid_support_and_a_log(build: Build, variant: str, support: object) -> None:
    """No database enters paid support by itself, and each exports its error log."""
    database = template_of(build, variant)["Resources"]["Database"]["Properties"]
    assert database["EngineLifecycleSupport"] == support
    assert database["EnableCloudwatchLogsExports"] == ["error"]


def test_windows(build: Build) -> None:
    """The backup and maintenance windows are those of the parameters."""
    for variant, window in (("arm64", "18:00-18:30"), ("aurora-dev", "08:00-08:30")):
        database = template_of(build, variant)["Resources"]["Database"]["Properties"]
        assert database["PreferredBackupWindow"] == window
        assert database["PreferredMaintenanceWindow"] == "tue:09:00-tue:09:30"


@pytest.mark.parametrize("variant", ["existing-dev", "existing-prod"])
def test_existing_makes_no_database_and_no_network(build: Build, variant: str) -> None:
    """With an existing database, no RDS resource and no network is created."""
    resources = template_of(build, variant)["Resources"]
    types = {resource["Type"] for resource in resources.values()}
    assert not [kind for kind in types if kind.startswith("AWS::RDS::")]
    assert "AWS::EC2::VPC" not in types
    assert "AWS::EC2::Subnet" not in types
    assert ("AWS::EC2::VPCEndpoint" in types) is (variant == "existing-prod")
    function = resources["HttpLambdaFunction"]["Properties"]
    assert function["VpcConfig"]["SubnetIds"] == ["subnet-11111111", "subnet-22222222"]
    role = resources["MigrateRole"]["Properties"]["Policies"][0]["PolicyDocument"]
    assert ADMIN in str(role)
    assert resources["DatabaseFromFunctions"]["Properties"]["GroupId"] == "sg-11111111"


def test_every_database_answers_the_same_questions() -> None:
    """The files of the databases have the same keys, so other files need no conditions."""
    keys = [
        set(re.findall(r"^(\w+):", path.read_text(), re.MULTILINE))
        - {"members", "rotationNeedsWith"}
        for path in (ROOT / "deploy" / "infrastructure" / "database").glob("*.yml")
        if path.stem in {"mariadb", "mysql", "aurora", "existing"}
    ]
    assert len(keys) == 4
    assert len(keys[0]) > 10
    assert all(others == keys[0] for others in keys)


def test_aurora_sleeps_in_dev_alone(build: Build) -> None:
    """The small stage pauses and has one member; production has another in the other zone."""
    for variant, least, members in (("aurora-dev", 0, 1), ("aurora-prod", 0.5, 2)):
        resources = template_of(build, variant)["Resources"]
        scaling = resources["Database"]["Properties"]["ServerlessV2ScalingConfiguration"]
        assert scaling["MinCapacity"] == least
        instances = [it for it in resources.values() if it["Type"] == "AWS::RDS::DBInstance"]
        assert len(instances) == members


def test_trusted_proxy(build: Build) -> None:
    """The proxy's secret is generated inside AWS, and only `http` may read it."""
    resources = template_of(build, "trusted-proxy")["Resources"]
    secret = {"Ref": "TrustedProxySecret"}
    assert (
        resources["TrustedProxySecret"]["Properties"]["GenerateSecretString"]["PasswordLength"]
        >= 32
    )
    readers = {name for name, it in resources.items() if str(secret) in str(it)}
    assert readers == {"HttpRole", "SecretsEndpoint"}
    without = template_of(build, "arm64")["Resources"]
    assert "TrustedProxySecret" not in str(without)
    variables = without["HttpLambdaFunction"]["Properties"]["Environment"]["Variables"]
    assert variables["TRUSTED_PROXY_SECRET_ID"] == ""


def test_no_guests(build: Build) -> None:
    """Every function reads the choice to take no guests, and to keep known ones for ever."""
    for _, properties in resources(template_of(build, "no-guests"), "AWS::Lambda::Function"):
        variables = properties["Environment"]["Variables"]
        assert (variables["GUESTS"], variables["GUEST_DAYS"]) == ("false", "0")


MEMBER = "DatabaseWriter/Properties"
DOMAIN_NAME = "Domain/Properties/DomainNameConfigurations/0"
MISTAKES = [
    ("aurora-prod", "loose_database", put("Database/Properties/StorageEncrypted", False)),  # noqa: FBT003
    ("aurora-prod", "loose_database", put(f"{MEMBER}/PubliclyAccessible", True)),  # noqa: FBT003
    ("aurora-prod", "loose_database", put("Database/Properties/EngineVersion", "8.0")),
    (
        "aurora-prod",
        "loose_database",
        put("DatabaseParameters/Properties/Parameters/require_secure_transport", "OFF"),
    ),
    (
        "aurora-prod",
        "loose_database",
        put("DatabaseMemberParameters/Properties/Parameters/sql_mode", ""),
    ),
    ("aurora-prod", "careless_production", put("Database/DeletionPolicy", "Delete")),
    ("aurora-prod", "careless_production", put("DatabaseStandby/Type", "AWS::SNS::Topic")),
    (
        "aurora-prod",
        "careless_production",
        put("Database/Properties/ServerlessV2ScalingConfiguration/MinCapacity", 0),
    ),
    ("aurora-prod", "blind_alarms", put("CapacityAlarm/Properties/MetricName", "FreeStorageSpace")),
    ("aurora-prod", "blind_alarms", put("CapacityAlarm/Properties/MetricName", "CPUUtilization")),
    ("mysql-proxy", "loose_proxy", put("DatabaseProxy/Properties/RequireTLS", False)),  # noqa: FBT003
    ("mysql-proxy", "loose_proxy", put("DatabaseProxy/Properties/DebugLogging", True)),  # noqa: FBT003
    ("mysql-proxy", "loose_proxy", put("DatabaseProxy/Properties/Auth/0/SecretArn", ADMIN)),
    (
        "mysql-proxy",
        "loose_proxy",
        put(
            "DatabaseProxyTargets/Properties/ConnectionPoolConfigurationInfo/InitQuery",
            "SET SESSION time_zone = '+00:00'",
        ),
    ),
    (
        "mysql-proxy",
        "loose_proxy",
        put("HttpLambdaFunction/Properties/Environment/Variables/DATABASE_CA_FILE", "rds.pem"),
    ),
    (
        "mysql-proxy",
        "loose_proxy",
        put("MigrateLambdaFunction/Properties/Environment/Variables/DATABASE_PROXY_HOST", "x"),
    ),
    ("mysql-proxy", "open_egress", put("FunctionsToProxy/Properties/CidrIp", "0.0.0.0/0")),
    ("mysql-proxy", "open_egress", put("FunctionsToProxy/Properties/ToPort", 65535)),
    ("mysql-proxy", "open_ingress", put("ProxyFromFunctions/Properties/CidrIp", "10.0.0.0/8")),
    ("mariadb-proxy", "two_addresses", put(f"{DOMAIN_NAME}/SecurityPolicy", "TLS_1_0")),
    ("mariadb-proxy", "two_addresses", put("DomainMapping/Properties/DomainName", "other")),
    (
        "mariadb-proxy",
        "two_addresses",
        put("HttpApi/Properties/DisableExecuteApiEndpoint", False),  # noqa: FBT003
    ),
    ("aurora-prod", "standing_passwords", put(
        "DatabaseSecretRotation/DependsOn", ["RotationPermission", "DatabaseSecretAttachment"]
    )),
    ("existing-prod", "standing_passwords", put(
        "DatabaseSecretRotation/DependsOn", ["RotationPermission", "DatabaseFromFunctions"]
    )),
    ("budget", "endless_bills", put(
        "Budget/Properties/NotificationsWithSubscribers/0/Subscribers", []
    )),
    ("budget", "endless_bills", put("Budget/Properties/Budget/BudgetLimit/Amount", "0")),
    ("budget", "endless_bills", put("Budget/Properties/Budget/BudgetName", "game-login-dev")),
    ("budget", "endless_bills", put("AlarmsPolicy/Properties/PolicyDocument/Statement", [])),
    ("budget", "endless_bills", put(
        "AlarmsPolicy/Properties/PolicyDocument/Statement/0/Condition", {"StringEquals": {}}
    )),
    ("existing-dev", "rights_elsewhere", put(
        "HttpRole/Properties/Policies/0/PolicyDocument/Statement/1/Condition/StringEquals"
        "/aws:SourceVpc", {"Ref": "Network"}
    )),
    ("existing-dev", "internet_routes", put("HttpLambdaFunction/Properties/VpcConfig", {})),
    ("existing-dev", "wide_rights", put(
        "MigrateRole/Properties/Policies/0/PolicyDocument/Statement/1/Resource/1", "*"
    )),
    ("existing-dev", "loose_database", put(
        "HttpLambdaFunction/Properties/ReservedConcurrentExecutions", 60
    )),
]  # fmt: skip


@pytest.mark.parametrize(("variant", "name", "spoil"), MISTAKES)
def test_mistake(build: Build, variant: str, name: str, spoil: Callable[[Template], None]) -> None:
    """Each planted mistake is found."""
    template = copy.deepcopy(template_of(build, variant))
    check = {**CHECKS, "careless_production": careless_production}[name]
    assert not list(check(template))
    spoil(template)
    assert list(check(template))
