// In CI, CloudFormation uses its own role, and a boundary limits every role that the template creates
// (deploy/infrastructure/deploy-role.yml). If neither is set, as in a deployment by hand, nothing changes.
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
      // A package built elsewhere has neither.
      'before:deploy:deploy': () => {
        name()
        bound()
      },
    }
  }
}
