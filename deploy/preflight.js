// Finds everything that AWS would refuse later, before anything is built or created (deploy/preflight.py).
'use strict'

const { spawnSync } = require('node:child_process')
const { chosen } = require('./parameters')

class Preflight {
  constructor(serverless, log) {
    this.serverless = serverless
    this.log = log
    this.passed = false
  }

  async run() {
    if (this.passed) return
    const { classes, service, serviceDir } = this.serverless
    const provider = this.serverless.getProvider('aws')
    const { engine, family, version } = service.custom.database
    const target = {
      stage: provider.getStage(),
      region: provider.getRegion(),
      parameters: chosen(this.serverless),
      database: { engine, family, version },
    }
    const done = spawnSync('.venv/bin/python', ['-m', 'deploy.preflight'], {
      cwd: serviceDir,
      env: await this.environment(provider),
      input: JSON.stringify(target),
      encoding: 'utf8',
    })
    if (done.error || done.status !== 0) {
      const why = done.error ? done.error.message : done.stderr.trim().split('\n').pop()
      throw new classes.Error(`the checks in AWS could not run (deploy/preflight.py): ${why}`)
    }
    if (done.stdout.trim()) throw new classes.Error(done.stdout.trim(), 'PREFLIGHT')
    if (done.stderr.trim()) this.log.notice(done.stderr.trim())
    this.passed = true
  }

  // With the credentials that serverless found, from any source.
  async environment(provider) {
    const { AWS_PROFILE, ...environment } = process.env
    const found = await provider.getAwsSdkV3CredentialsProvider()()
    return {
      ...environment,
      AWS_ACCESS_KEY_ID: found.accessKeyId,
      AWS_SECRET_ACCESS_KEY: found.secretAccessKey,
      ...(found.sessionToken ? { AWS_SESSION_TOKEN: found.sessionToken } : {}),
    }
  }
}

module.exports = { Preflight }
