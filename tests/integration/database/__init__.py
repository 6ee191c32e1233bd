"""The database: access, failures, lost answers, round trips."""
