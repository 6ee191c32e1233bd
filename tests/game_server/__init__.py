"""Tests of the example game server and its verifier."""
