"""The deployment handles refusals of Lambda, and reports them.

The rehearsal covers success, but moto refuses nothing; here the tests give the client's answers.
"""

import json
import subprocess
from typing import Any

import pytest

from local.stack import ROOT

SETUP = """
const { Live } = require('./deploy/live.js')
const said = []
const log = { notice: (text) => said.push(text) }
const serverless = { service: { getFunction: (name) => ({ name: `game-login-dev-${name}` }) } }
const live = new Live(serverless, log, { notice: () => {} })
const refused = (name) => Object.assign(new Error('no'), { name, $metadata: {} })
const { setTimeout: wait } = globalThis
globalThis.setTimeout = (call) => wait(call, 0)
const sent = []
const client = (answers) => {
  const it = Object.create(require('@aws-sdk/client-lambda').LambdaClient.prototype)
  it.send = async (command) => {
    const name = command.constructor.name.replace('Command', '')
    sent.push(name)
    const answer = answers[name].length > 1 ? answers[name].shift() : answers[name][0]
    if (answer instanceof Error) throw answer
    return answer
  }
  return it
}
"""


def run(code: str) -> Any:
    """Run a piece of JavaScript with deploy/live.js loaded; return its JSON output."""
    done = subprocess.run(
        ["node", "-e", f"{SETUP}(async () => {{{code}}})()"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


FIVE = "[1, 2, 3, 4, 5].map((number) => ({ Version: `${number}` }))"
LIST_REFUSED = "{ ListVersionsByFunction: [refused('TooManyRequestsException')] }"
DELETION_REFUSED = (
    f"{{ ListVersionsByFunction: [{{ Versions: {FIVE} }}],"
    " DeleteFunction: [refused('AccessDeniedException')] }"
)


@pytest.mark.parametrize("answers", [LIST_REFUSED, DELETION_REFUSED])
def test_versions_that_cannot_be_deleted(answers: str) -> None:
    """If a list or deletion is refused after players were moved, it is reported; nothing fails."""
    code = f"await live.prune(client({answers}), []); console.log(JSON.stringify(said))"
    (line,) = run(code)
    assert line.startswith("old versions: not deleted")


WAKE = """
const slow = client({ Invoke: INVOKE })
const answers = { GetFunctionConfiguration: STATES }
let end
try {
  end = (await live.invokeAwake(client(answers), slow, 'game-login-dev-migrate')).Payload
} catch (error) {
  end = `${error.name}: ${error.message}`
}
console.log(JSON.stringify([end, sent.filter((name) => name === 'Invoke').length]))
"""
REFUSED = "refused('CodeArtifactUserPendingException')"
IDLE_AGAIN = "[{ State: 'Pending' }, { State: 'Inactive', StateReason: 'no free addresses' }]"
NOT_ACTIVE = "CodeArtifactUserPendingException: game-login-dev-migrate is {}"


@pytest.mark.parametrize(
    ("invoke", "states", "end", "calls"),
    [
        (
            f"[{REFUSED}, {REFUSED}, {REFUSED}, {{ Payload: 'ran' }}]",
            "[{ State: 'Inactive' }, { State: 'Pending' }, { State: 'Active' }]",
            "ran",
            4,
        ),
        (
            f"[{REFUSED}]",
            IDLE_AGAIN,
            NOT_ACTIVE.format("Inactive, not Active: no free addresses"),
            2,
        ),
        (
            f"[{REFUSED}]",
            "[{ State: 'Failed' }]",
            NOT_ACTIVE.format("Failed, not Active: no reason given"),
            1,
        ),
        ("[refused('TimeoutError')]", "[]", "TimeoutError: no", 1),
    ],
    ids=["wakes", "falls back", "failed", "may have run"],
)
def test_waking(invoke: str, states: str, end: str, calls: int) -> None:
    """A migration is called until it is awake; if it cannot wake, Lambda's reason is reported."""
    assert run(WAKE.replace("INVOKE", invoke).replace("STATES", states)) == [end, calls]


@pytest.mark.parametrize(
    ("given", "compiled"),
    [
        ("true", {"Fn::If": ["LiveAliasIsNew", False, True]}),
        ("'true'", {"Fn::If": ["LiveAliasIsNew", False, True]}),  # as --param passes it
        ("'false'", "false"),
        ("false", False),
    ],
)
def test_protection(given: str, compiled: object) -> None:
    """Protection begins with the second update, whether the parameter is a text or not."""
    code = """
        const { Protection } = require('./deploy/protection.js')
        const Properties = { DeletionProtection: GIVEN }
        const Resources = { Database: { Type: 'AWS::RDS::DBInstance', Properties } }
        const provider = { compiledCloudFormationTemplate: { Resources } }
        new Protection({ service: { provider } }).compile()
        console.log(JSON.stringify(Properties.DeletionProtection))
    """
    assert run(code.replace("GIVEN", given)) == compiled
