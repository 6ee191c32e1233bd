"""Migrations, cleaning, the rotation of the database user, and the operator's SQL."""
