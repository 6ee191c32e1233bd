"""A deployment rehearsed without AWS: `python -m tests.rehearsal`, or `make rehearse`.

`steps` is what is shown, `checks` what is checked of it. The real `serverless` command talks to
`stand_in`, a process of its own, which is moto's server with what a deployment of ours needs of it:
`cloudformation` applies a template as CloudFormation does, `resources` are the things in it that
moto has not, `functions` runs the deployed package in the Lambda runtime of this machine, and
`gateway` leads HTTP requests there. docs/promises/rehearsal.md says what none of this can show.
"""
