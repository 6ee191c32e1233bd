"""Answers of the handler, as the fields that a `Call` records of them."""

import json
from typing import Any

from tests.faults.workers import Answer

# An operator's answer has no status; these say whether the outcome is known.
FAILURES = {"unavailable": 503, "internal_error": 500}
REFUSED = 409
RETRY_SECONDS = 1


def read(answer: Answer | None) -> dict[str, Any]:
    """Return the fields of an answer over HTTP."""
    if answer is None:
        return {"status": 0}
    body = json.loads(answer["body"])
    headers = {name.lower(): value for name, value in answer["headers"].items()}
    read: dict[str, Any] = {
        "status": answer["statusCode"],
        "code": body.get("error", {}).get("code", ""),
        "retry_after": int(headers.get("retry-after", 0)),
    }
    if "refresh_token" in body:
        read["gave_name"] = body["account"]["username"]
        read["gave_account"] = body["account"]["id"].replace("-", "")
        read["gave_session"] = body["session"]["id"]
        read["gave_token"] = body["refresh_token"]
        read["gave_access"] = body["access_token"]
    read["gave_ticket"], read["gave_fence"] = body.get("ticket", ""), body.get("fence", 0)
    read["answer"] = answer["body"] if "events" in body else ""
    read["gave_recovery"] = body.get("recovery_code", "")
    return read


def read_by_operator(answer: Answer | None) -> dict[str, Any]:
    """Return the fields of an answer to an operator."""
    if answer is None:
        return {"status": 0}
    code = answer.get("error", {}).get("code", "")
    status = 200 if answer["ok"] else FAILURES.get(code, REFUSED)
    retry_after = RETRY_SECONDS if status == 503 else 0
    return {"status": status, "code": code, "retry_after": retry_after, "answer": as_text(answer)}


def as_text(answer: Answer) -> str:
    """Return an operator's answer in a form that can be compared."""
    return json.dumps(answer, sort_keys=True)
