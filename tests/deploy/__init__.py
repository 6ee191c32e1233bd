"""Tests of a deployment: its template and its package, opened, checked and run."""
