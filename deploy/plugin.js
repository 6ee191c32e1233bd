// Has `serverless package` and `serverless deploy` upload the zip that deploy/package.py builds.
'use strict'

const { spawnSync } = require('node:child_process')
const path = require('node:path')

module.exports = class {
  constructor(serverless) {
    const build = () => {
      const { package: packaging, provider, service } = serverless.service
      // With --package=FOLDER, serverless moves what is here there at the end.
      const zip = path.join(serverless.serviceDir, '.serverless', `${service}.zip`)
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
