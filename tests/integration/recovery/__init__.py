"""Recovery codes: the way back in without a password or a device."""
