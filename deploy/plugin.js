// The project's own steps of a deployment: deploy/package.py builds the zip, and players reach the new
// version only after the database has been migrated (docs/run/migrations.md).
'use strict'

const { spawnSync } = require('node:child_process')
const path = require('node:path')
const { Live } = require('./live')
const { Preflight } = require('./preflight')
const { Protection } = require('./protection')

const VERSION = { usage: 'The version to roll back to, if not the previous one', type: 'string' }

module.exports = class {
  constructor(serverless, options, { log, progress }) {
    this.serverless = serverless
    this.options = options
    this.live = new Live(serverless, log, progress.get('main'))
    this.preflight = new Preflight(serverless, log)
    this.protection = new Protection(serverless, this.live, log, progress.get('main'))
    this.commands = {
      'rollback-live': {
        usage: 'Rolls back to the previous version, at once',
        lifecycleEvents: ['move'],
        options: { to: VERSION },
      },
    }
    this.hooks = {
      'before:package:cleanup': () => this.checkAccount(),
      'before:deploy:deploy': () => this.preflight.run(), // if it was packaged earlier
      'before:package:createDeploymentArtifacts': () => this.build(),
      'before:package:compileFunctions': () => this.live.nameAlias(),
      'after:package:compileFunctions': () => this.live.compileAlias(),
      'after:aws:package:finalize:mergeCustomProviderResources': () => this.protection.compile(),
      'before:aws:deploy:deploy:updateStack': () => this.live.keepAlias(),
      'after:aws:deploy:deploy:updateStack': async () => {
        await this.live.follow()
        await this.protection.switchOn()
      },
      'rollback-live:move': () => this.live.goBack(this.options.to),
      'before:deploy:function:initialize': () => this.refuse('`make deploy`'),
      'before:rollback:initialize': () => this.refuse('`make rollback`'),
      'before:rollback:function:rollback': () => this.refuse('`make rollback`'),
    }
  }

  build() {
    const { serverless } = this
    const { package: packaging, provider, service } = serverless.service
    // With --package=FOLDER, serverless moves the zip there at the end.
    const zip = path.join(serverless.serviceDir, '.serverless', `${service}.zip`)
    const architecture = `--architecture=${provider.architecture || 'x86_64'}`
    const done = spawnSync('.venv/bin/python', ['-m', 'deploy.package', architecture, zip], {
      cwd: serverless.serviceDir,
      stdio: 'inherit',
    })
    if (done.status !== 0) {
      throw new serverless.classes.Error(
        done.error
          ? `Python is missing: run \`make setup\` (${done.error.message})`
          : 'the package could not be built: see above',
      )
    }
    packaging.artifact = zip
  }

  // Before the package is built, but not for `serverless package`.
  async checkAccount() {
    const { classes, getProvider, processedInput } = this.serverless
    if (processedInput.commands.join(' ') !== 'deploy') return
    try {
      await getProvider.call(this.serverless, 'aws').getAwsSdkV3CredentialsProvider()()
    } catch (error) {
      const why = error.code === 'AWS_CREDENTIALS_NOT_FOUND' ? '' : ` (${error.message})`
      throw new classes.Error(
        'no AWS credentials: sign in (`aws sso login`, `aws configure`), set AWS_PROFILE, or set' +
          ` AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY${why}`,
      )
    }
    await this.preflight.run()
  }

  refuse(instead) {
    throw new this.serverless.classes.Error(
      `this would bypass the migrations and the alias \`live\`: use ${instead}`,
    )
  }
}
