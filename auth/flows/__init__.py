"""The policy: the rules for players, one module for each flow.

A flow reads in the order of its rules: limit, find, verify, record, admit. It knows no HTTP.
"""
