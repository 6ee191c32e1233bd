"""Every SQL statement, one module for each table or aggregate, and the migrations.

A statement is written out; only lists of columns are derived, from the records.
"""
