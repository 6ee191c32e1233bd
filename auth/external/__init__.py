"""The services that the product depends on: the database and AWS, each fenced in here.

PyMySQL and botocore are imported in this room only. The errors that leave it are the project's own.
"""
