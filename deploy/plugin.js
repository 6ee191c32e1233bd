// Has `serverless package` and `serverless deploy` upload the zip that deploy/package.py builds.
'use strict'

const { spawnSync } = require('node:child_process')
const path = require('node:path')

module.exports = class {
  constructor(serverless, options) {
    const build = () => {
      const { package: packaging, provider, service } = serverless.service
      const folder = options.package || packaging.path || '.serverless'
      const zip = path.resolve(serverless.serviceDir, folder, `${service}.zip`)
      const architecture = `--architecture=${provider.architecture || 'x86_64'}`
      const done = spawnSync('.venv/bin/python', ['-m', 'deploy.package', architecture, zip], {
        cwd: serverless.serviceDir,
        stdio: 'inherit',
      })
      if (done.status !== 0) {
        throw new serverless.classes.Error(
          done.error ? `no Python: run \`make setup\` (${done.error.message})` : 'no package was built',
        )
      }
      packaging.artifact = zip
    }
    this.hooks = {
      'before:package:createDeploymentArtifacts': build,
      'before:deploy:function:packageFunction': build,
    }
  }
}
