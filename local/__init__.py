"""The local stack: runs everything that the backend needs on this machine, with one command.

`database_server` runs a private MariaDB or MySQL (`engines` chooses one, `debian` fetches a newer
one, `install` and `docker_image` provide one if this machine has none). `secrets_manager` runs a
stand-in for AWS Secrets Manager, and `offline` the real `serverless offline`. `stack` combines
database and secrets, for `make run` and for the tests.
"""
