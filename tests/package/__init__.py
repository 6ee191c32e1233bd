"""Tests of what a deployment uploads."""
