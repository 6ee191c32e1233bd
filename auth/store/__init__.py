"""All SQL statements, one module per table or aggregate, and the migrations.

Statements are written out in full; only column lists are derived, from the records.
"""
