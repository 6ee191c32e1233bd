"""deploy/infrastructure/cloudfront.yml: a proxy in front that the backend can trust."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cfnlint.decode import decode
from msgspec.structs import fields

from auth.api.gateway import HEADERS_READ
from auth.api.routes import ROUTES
from auth.api.trusted_proxy import SECRET_HEADER
from auth.api.tutorial import TUTORIAL
from auth.settings import Settings
from local.stack import ROOT
from tests.deploy.template_checks import OPEN_TO_GUESSES

TEMPLATE = ROOT / "deploy" / "infrastructure" / "cloudfront.yml"


@pytest.fixture(scope="module")
def resources() -> Any:
    """Return the template's resources."""
    template, errors = decode(str(TEMPLATE))
    assert not errors
    return template["Resources"]


def test_cfn_lint() -> None:
    """The template follows CloudFormation's own rules."""
    lint = Path(sys.executable).with_name("cfn-lint")
    done = subprocess.run([lint, TEMPLATE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_forwarded_headers(resources: Any) -> None:
    """Every header that the backend reads is forwarded, and callers cannot set the proxy's own."""
    cached = resources["CachePolicy"]["Properties"]["CachePolicyConfig"]
    forwarded = cached["ParametersInCacheKeyAndForwardedToOrigin"]["HeadersConfig"]["Headers"]
    request = resources["OriginRequestPolicy"]["Properties"]["OriginRequestPolicyConfig"]
    passed = {name.lower() for name in [*forwarded, *request["HeadersConfig"]["Headers"]]}
    assert set(HEADERS_READ) < passed
    assert Settings.__dataclass_fields__["trusted_proxy_header"].default in passed
    assert SECRET_HEADER not in passed
    origin = resources["Distribution"]["Properties"]["DistributionConfig"]["Origins"][0]
    (own,) = origin["OriginCustomHeaders"]
    assert own == {"HeaderName": "X-Origin-Verify", "HeaderValue": {"Ref": "ProxySecret"}}
    assert own["HeaderName"].lower() == SECRET_HEADER
    assert origin["CustomOriginConfig"]["OriginProtocolPolicy"] == "https-only"


def test_forwarded_queries(resources: Any) -> None:
    """Every query that a route reads is forwarded, and answers to different ones stay apart."""
    cached = resources["CachePolicy"]["Properties"]["CachePolicyConfig"]
    forwarded = cached["ParametersInCacheKeyAndForwardedToOrigin"]["QueryStringsConfig"]
    read = {field.name for route in ROUTES if route.query for field in fields(route.query)}
    assert forwarded["QueryStringBehavior"] == "whitelist"
    assert set(forwarded["QueryStrings"]) == read


def test_counted_paths(resources: Any) -> None:
    """The firewall counts exactly the routes that the gateway throttles more than the rest."""
    rule = resources["Firewall"]["Properties"]["Rules"][0]["Statement"]["RateBasedStatement"]
    match = rule["ScopeDownStatement"]["RegexMatchStatement"]
    counted = re.compile(match["RegexString"])
    paths = {route.path for route in (*ROUTES, *TUTORIAL)}
    found = {path for path in paths if counted.search(path)}
    assert found == {route.partition(" ")[2] for route in OPEN_TO_GUESSES}


def test_nothing_private_is_cached(resources: Any) -> None:
    """No answer is cached for longer than a second, and none for another access token."""
    policy = resources["CachePolicy"]["Properties"]["CachePolicyConfig"]
    assert (policy["DefaultTTL"], policy["MaxTTL"]) == (0, 1)
    errors = resources["Distribution"]["Properties"]["DistributionConfig"]["CustomErrorResponses"]
    kept = {error["ErrorCode"]: error["ErrorCachingMinTTL"] for error in errors}
    assert set(kept.values()) == {0}
    assert {400, 403, 404, 405, 500, 503} <= set(kept)
    headers = policy["ParametersInCacheKeyAndForwardedToOrigin"]["HeadersConfig"]
    assert "Authorization" in headers["Headers"]
