"""The package that a deployment uploads, and a Lambda runtime on this machine to run it in.

`package` builds the zip, with the fast Argon2 of `argon2`; `plugin.js` makes `serverless` use it;
`lambda_runtime` runs it as AWS Lambda would, with the Python that `python` finds.
"""
