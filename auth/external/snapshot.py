"""Lambda SnapStart: removes state that copies of one process must not share.

Lambda starts the function once, takes a snapshot of its memory, and starts each container from that
snapshot. So it must contain nothing unique, open or secret. Most of the application never does:
ids, tokens and salts come from the kernel at each use, and the database and the secrets are first
used in a request. This module handles the rest.

An ES256 signature needs a number that is never used twice. OpenSSL derives it from the key, the
text and random numbers, so copies with equal random numbers still use another one for each text.
"""

import gc
import os
import random
import ssl

from auth.external.secret_store import SecretStore

SEED_BYTES = 64


def prepare_for_snapshot(secret_store: SecretStore) -> None:
    """Register the hooks that Lambda calls before the snapshot and after each restore."""
    from snapshot_restore_py import (  # part of Lambda's runtime only
        register_after_restore,
        register_before_snapshot,
    )

    register_before_snapshot(_before_snapshot, secret_store)
    register_after_restore(_after_restore, secret_store)


def _before_snapshot(secret_store: SecretStore) -> None:
    """Drop AWS credentials and connections, so that no copy shares them; keep loaded modules."""
    secret_store.forget()
    gc.unfreeze()  # the start-up froze the client too
    gc.collect()  # botocore's clients contain reference cycles
    gc.freeze()


def _after_restore(secret_store: SecretStore) -> None:
    """Seed the random generators of this copy, and create its client."""
    random.seed()  # from the kernel; otherwise all copies would pause for the same time
    ssl.RAND_add(os.urandom(SEED_BYTES), SEED_BYTES)
    secret_store.prepare()
