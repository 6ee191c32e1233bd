"""What a deployment uploads, and a Lambda on this machine to try it in.

`package` builds the zip, with the fast Argon2 of `argon2`; `plugin.js` has the serverless command
use it; `lambda_runtime` runs it as AWS Lambda would, on the Python that `python` finds.
"""
