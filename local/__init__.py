"""The local stack: everything the backend needs, on this machine, with one command.

`database_server` runs a private MariaDB or MySQL (`engines` chooses, `debian` fetches a newer one,
`install` and `docker_image` get one for a machine that has none), `secrets_manager` a stand-in for
AWS Secrets Manager with the secrets in it, `offline` the real `serverless offline`. `stack` puts
the first two together, for `make run` as for the tests.
"""
