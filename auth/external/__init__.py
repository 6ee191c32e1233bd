"""The external services: the database and AWS, each wrapped in one module.

Only this package imports PyMySQL and botocore. The errors that leave it are the project's own.
"""
