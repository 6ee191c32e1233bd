"""Sessions: refresh, sign-out, their number, and concurrent calls."""
