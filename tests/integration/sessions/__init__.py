"""Sessions: refresh, sign-out, their number, and calls at once."""
