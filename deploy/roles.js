// From CI, CloudFormation works with a role of its own, and no role that a template makes can have
// more than a boundary allows (deploy/infrastructure/deploy-role.yml). Where neither is named, as when
// somebody deploys by hand, nothing changes.
'use strict'

module.exports = class {
  constructor(serverless) {
    const { CLOUDFORMATION_ROLE_ARN: deploymentRole, BOUNDARY_ARN: boundary } = process.env
    const bound = () => {
      if (!boundary) return
      for (const resource of Object.values(serverless.service.provider.compiledCloudFormationTemplate.Resources)) {
        if (resource.Type === 'AWS::IAM::Role') resource.Properties.PermissionsBoundary = boundary
      }
    }
    const name = () => {
      if (deploymentRole) serverless.service.provider.iam = { ...serverless.service.provider.iam, deploymentRole }
    }
    this.hooks = {
      initialize: name,
      'after:aws:package:finalize:mergeCustomProviderResources': bound,
      // What was packaged elsewhere knows of neither.
      'before:deploy:deploy': () => {
        name()
        bound()
      },
    }
  }
}
