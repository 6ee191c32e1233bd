"""The local stack: everything the backend needs, on this machine, with one command.

`mariadb` runs a private MariaDB or MySQL (`engines` chooses, `debian` fetches what the system has
not), `secrets_manager` a stand-in for AWS Secrets Manager with the secrets in it, `offline` the
real `serverless offline`; `stack` puts the first two together, for `make run` as for the tests.
"""
