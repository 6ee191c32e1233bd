"""The example game server and its verifier."""
