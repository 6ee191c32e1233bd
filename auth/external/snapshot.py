"""Lambda SnapStart: what must not be the same in every copy of one process.

Lambda starts the function once, takes a picture of its memory, and makes each container from that
picture. So nothing unique, open or secret may be in it. Most of the application is so anyway: ids,
tokens and salts come from the kernel at each use, and the database and the secrets wait for the
first request. What is left is here.

An ES256 signature needs a number that never comes again. OpenSSL makes it from the key, the text
and random numbers: copies that draw the same random numbers still sign each text with its own.
"""

import gc
import os
import random
import ssl

from auth.external.secret_store import SecretStore

SEED_BYTES = 64


def prepare_for_snapshot(secret_store: SecretStore) -> None:
    """Have Lambda do what follows before it takes the picture, and in each copy."""
    # Lambda's own; there is no need for it anywhere else.
    from snapshot_restore_py import register_after_restore, register_before_snapshot

    register_before_snapshot(_hold_still, secret_store)
    register_after_restore(_come_to_life, secret_store)


def _hold_still(secret_store: SecretStore) -> None:
    """Leave no AWS credentials and no connection in the picture; what was loaded stays."""
    secret_store.forget()
    gc.unfreeze()  # the start-up froze the client too
    gc.collect()  # botocore's clients refer to themselves
    gc.freeze()


def _come_to_life(secret_store: SecretStore) -> None:
    """Make this copy differ from the others, and as ready as the start-up was."""
    random.seed()  # from the kernel; or else all copies would pause for the same time
    ssl.RAND_add(os.urandom(SEED_BYTES), SEED_BYTES)
    secret_store.prepare()
