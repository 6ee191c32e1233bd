"""A deployment rehearsed without AWS: `python -m tests.rehearsal`, or `make rehearse`.

`steps` holds the steps. The real `serverless` command talks to `stand_in`, a separate process:
moto's server, extended for our deployment. `cloudformation` applies a template as CloudFormation
does, `resources` adds the types that moto lacks, `functions` runs the deployed package in the
Lambda runtime of this machine, and `gateway` routes HTTP requests to it.
docs/promises/rehearsal.md lists the limits of all this.
"""
