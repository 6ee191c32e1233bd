"""Passwords, hashed with Argon2id. `password_policy` has the rules for a new one."""

import base64
import secrets

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from auth.credentials.password_policy import normalised

# OWASP Password Storage Cheat Sheet: Argon2id with 19 MiB, two iterations, one lane.
MEMORY_KIB = 19456
ITERATIONS = 2
LANES = 1


class Passwords:
    """Hashes and verifies; verifying takes equally long if the account does not exist."""

    def __init__(self, memory_kib: int = MEMORY_KIB, iterations: int = ITERATIONS) -> None:
        self._hasher = PasswordHasher(
            time_cost=iterations, memory_cost=memory_kib, parallelism=LANES
        )
        # This also warms up the process, since its first two hashes cause page faults.
        self._dummy = self.hash(secrets.token_urlsafe())
        self.verify(None, "")

    def hash(self, password: str) -> str:
        """Return the Argon2id hash of `password` in its encoded form."""
        return self._hasher.hash(normalised(password))

    def unusable_hash(self) -> str:
        """Return a hash with the current parameters that no password fits.

        Verifying against it takes as long as against any other.
        """
        parameters = self._dummy.rpartition("$")[0].rpartition("$")[0]
        salt, tag = (
            base64.b64encode(secrets.token_bytes(length)).rstrip(b"=").decode()
            for length in (self._hasher.salt_len, self._hasher.hash_len)
        )
        return f"{parameters}${salt}${tag}"

    def verify(self, password_hash: str | None, password: str) -> bool:
        """Tell whether the password matches; with None (no account) equally slow, and False.

        No password matches a hash that is not Argon2's, such as an empty one.
        """
        if password_hash is None:
            self._fits(self._dummy, password)
            return False
        try:
            return self._fits(password_hash, password)
        except InvalidHashError:
            return self.verify(None, password)

    def _fits(self, password_hash: str, password: str) -> bool:
        try:
            return self._hasher.verify(password_hash, normalised(password))
        except VerificationError:
            return False

    def needs_rehash(self, password_hash: str) -> bool:
        """Tell whether the hash was made with other parameters than the current ones."""
        return self._hasher.check_needs_rehash(password_hash)
