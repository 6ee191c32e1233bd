"""The certificates that the deployed functions trust when they connect to the database."""

import re
import ssl
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from auth.external.connection import tls_context
from local.stack import ROOT

BUNDLE = ROOT / "deploy" / "certificates" / "rds.pem"
NAME = re.compile(r"Amazon RDS [a-z]+-[a-z]+-\d Root CA (RSA2048|RSA4096|ECC384) G\d")


@pytest.fixture(scope="module")
def roots() -> list[x509.Certificate]:
    """Return the certificates of the bundle."""
    return x509.load_pem_x509_certificates(BUNDLE.read_bytes())


def name_of(certificate: x509.Certificate) -> str:
    """Return the subject of a certificate."""
    return str(certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)


def test_all_are_trusted(roots: list[x509.Certificate]) -> None:
    """A connection trusts each certificate of the bundle, as a CA, and no other."""
    context = tls_context(str(BUNDLE))
    assert context.cert_store_stats() == {"x509": len(roots), "x509_ca": len(roots), "crl": 0}
    trusted = {ssl.PEM_cert_to_DER_cert(block) for block in blocks()}
    assert set(context.get_ca_certs(binary_form=True)) == trusted


def test_all_are_roots_of_amazon_rds(roots: list[x509.Certificate]) -> None:
    """Each is a self-signed CA of Amazon RDS: no proxy, beta or preview, and none from 2019."""
    for root in roots:
        assert NAME.fullmatch(name_of(root)), name_of(root)
        assert root.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
        root.verify_directly_issued_by(root)


def test_every_region_has_each_kind(roots: list[x509.Certificate]) -> None:
    """A region's databases are trusted with any of its three CAs."""
    names = [name_of(root) for root in roots]
    regions = {name.split()[2] for name in names}
    assert len(names) == len(set(names)) == 3 * len(regions)
    assert {"us-east-1", "eu-central-1", "ap-northeast-1"} <= regions


def test_none_expires_soon(roots: list[x509.Certificate]) -> None:
    """Every certificate is valid for a year or more: enough time to renew the bundle."""
    assert min(root.not_valid_after_utc for root in roots) > datetime.now(UTC) + timedelta(days=365)


def test_names_are_right(roots: list[x509.Certificate]) -> None:
    """Above each certificate stands its subject."""
    headings = re.findall(r"^# (Amazon RDS .+)\n-----BEGIN", BUNDLE.read_text(), re.MULTILINE)
    assert headings == [name_of(root) for root in roots]


def blocks() -> list[str]:
    """Return the PEM blocks of the bundle."""
    return re.findall(r"-----BEGIN.+?END CERTIFICATE-----", BUNDLE.read_text(), re.DOTALL)
