"""The certificates that the functions trust when they connect to RDS Proxy."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import certifi
from cryptography import x509

from auth.external.connection import tls_context
from local.stack import ROOT

BUNDLE = ROOT / "deploy" / "certificates" / "amazon.pem"
ROOTS = [f"Amazon Root CA {number}" for number in (1, 2, 3, 4)]
BLOCK = re.compile(r"-----BEGIN.+?END CERTIFICATE-----", re.DOTALL)


def test_they_are_the_roots_of_amazon_trust_services() -> None:
    """The bundle holds the four roots, each under its name, as in Mozilla's list, and no other."""
    text = BUNDLE.read_text()
    blocks = BLOCK.findall(text)
    subjects = [x509.load_pem_x509_certificate(block.encode()).subject for block in blocks]
    names = [subject.rfc4514_string() for subject in subjects]
    assert [name.split(",")[0].removeprefix("CN=") for name in names] == ROOTS
    assert re.findall(r"^# (.+)\n-----BEGIN", text, re.MULTILINE) == ROOTS
    assert set(blocks) <= set(BLOCK.findall(Path(certifi.where()).read_text()))


def test_they_are_trusted_and_last() -> None:
    """A connection trusts each root as a CA, for more than a year from now."""
    context = tls_context(str(BUNDLE))
    assert context.cert_store_stats() == {"x509": 4, "x509_ca": 4, "crl": 0}
    ends = [
        root.not_valid_after_utc for root in x509.load_pem_x509_certificates(BUNDLE.read_bytes())
    ]
    assert min(ends) > datetime.now(UTC) + timedelta(days=365)
