"""Every `aws ...` command in the documents exists with all its options, according to botocore."""

import re
from collections.abc import Iterator

import botocore.session
import pytest
from botocore import xform_name

from tests.play.sources import ROOT

FENCE = re.compile(r"```sh\n(.*?)```", re.DOTALL)
COMMAND = re.compile(r"\baws ([a-z0-9-]+) ([a-z-]+)((?: (?!aws )[^\n;|)]*)?)")
OPTION = re.compile(r"(?<=\s)--([a-z0-9-]+)")
EVERYWHERE = {"query", "output", "region", "profile"}
# The command line's own commands and names, beyond AWS's operations.
OWN = {
    ("configure", "sso"): {"profile"},
    ("sso", "login"): {"profile"},
    ("logs", "tail"): {"since", "filter-pattern"},
    ("ec2-instance-connect", "ssh"): {"instance-id", "connection-type", "local-forwarding"},
}
RENAMED = {
    ("sns", "subscribe"): {"notification-endpoint"},
    ("ec2", "authorize-security-group-ingress"): {"protocol", "port", "source-group"},
}
SESSION = botocore.session.Session()


def commands(text: str) -> Iterator[tuple[str, str, set[str]]]:
    """Yield the commands of a document's code: service, operation, options."""
    for code in FENCE.findall(text):
        # A command in $(...) stands for itself: its options are not those of the outer one.
        joined = re.sub(r"\\\n\s*", "", code)
        while (inner := re.search(r"\$\(([^()]*)\)", joined)) is not None:
            joined = f"{joined[: inner.start()]}it{joined[inner.end() :]}\n{inner[1]}\n"
        for service, operation, rest in COMMAND.findall(
            re.sub(r"'[^']*'|\"[^\"]*\"", "it", joined)
        ):
            yield service, operation, set(OPTION.findall(f" {rest}")) - EVERYWHERE


def unknown(service: str, operation: str, options: set[str]) -> set[str]:
    """Return the parts of a command that AWS does not know."""
    name = (service, operation)
    if name in OWN:
        return options - OWN[name]
    if service not in SESSION.get_available_services():
        return {service}
    model = SESSION.get_service_model(service)
    operations = {xform_name(found, "-"): found for found in model.operation_names}
    if operation == "wait":
        return set()
    if operation not in operations:
        return {operation}
    shape = model.operation_model(operations[operation]).input_shape
    known = {xform_name(member, "-") for member in shape.members} if shape else set()
    return {
        option
        for option in options - RENAMED.get(name, set())
        if option not in known and option.removeprefix("no-") not in known
    }


PAGES = ["costs.md", "deploy.md", "operate.md", "restore.md", "rotation.md"]


@pytest.mark.parametrize("name", PAGES)
def test_commands(name: str) -> None:
    """Each command and each of its options is known."""
    found = list(commands((ROOT / "docs" / "run" / name).read_text()))
    assert found
    for service, operation, options in found:
        assert unknown(service, operation, options) == set(), f"aws {service} {operation}"


def test_mistakes() -> None:
    """A misspelt service, operation or option is found."""
    lines = (
        "X=$(aws rds describe-db-instances --db-name x --query Y)",
        "aws rd stop",
        "aws rds go",
    )
    text = "```sh\n" + "\n".join(lines) + "\n```"
    assert [unknown(*command) for command in commands(text)] == [{"rd"}, {"go"}, {"db-name"}]
