// Protects the database against deletion from the first successful deployment on, not from its creation: a
// failed first deployment has to be able to delete its resources. Otherwise the database would be left without
// a stack, and the next try would create another.
'use strict'

const cloudformation = require('@aws-sdk/client-cloudformation')
const { IS_NEW, MADE_WITH } = require('./live')

const DATABASES = ['AWS::RDS::DBInstance', 'AWS::RDS::DBCluster']
const AFTER_THE_FIRST = { 'Fn::If': [IS_NEW, false, true] }

class Protection {
  constructor(serverless, live, log, progress) {
    this.serverless = serverless
    this.live = live
    this.log = log
    this.progress = progress
  }

  get databases() {
    const { Resources } = this.serverless.service.provider.compiledCloudFormationTemplate
    return Object.values(Resources).filter(({ Type }) => DATABASES.includes(Type))
  }

  // `deletionProtection: true` applies from the second update of a stack on. With --param it is a text.
  compile() {
    for (const { Properties } of this.databases) {
      if (String(Properties.DeletionProtection) === 'true') Properties.DeletionProtection = AFTER_THE_FIRST
    }
  }

  // That second update, at once and by CloudFormation itself: the same template, now with the alias.
  async switchOn() {
    const wanted = this.databases.some(({ Properties }) => Properties.DeletionProtection?.['Fn::If'])
    const stack = await this.live.stack()
    const madeWith = (list, key, value) => list.find((one) => one[key] === MADE_WITH)?.[value]
    if (!wanted || madeWith(stack.Parameters || [], 'ParameterKey', 'ParameterValue')) return
    this.progress.notice('Protecting the database against deletion', { isMainEvent: true })
    const version = madeWith(stack.Outputs, 'OutputKey', 'OutputValue')
    try {
      await this.update([{ ParameterKey: MADE_WITH, ParameterValue: version }])
    } catch (error) {
      throw new this.serverless.classes.Error(
        `players reach the new version, but the database can still be deleted by mistake: ${error.message}.` +
          ' Deploy again to protect it.',
      )
    }
    this.log.notice('database: protected against deletion')
  }

  // The steps of serverless for an update, without a new template.
  async update(Parameters) {
    const aws = this.serverless.pluginManager.plugins.find((plugin) => plugin.waitForChangeSetCreation && plugin.update)
    const { TemplateURL, ...shared } = aws.getCreateChangeSetParams({ changeSetType: 'UPDATE' })
    const named = { StackName: shared.StackName, ChangeSetName: shared.ChangeSetName }
    const client = new cloudformation.CloudFormationClient(await this.live.provider.getAwsSdkV3Config())
    await client.send(new cloudformation.DeleteChangeSetCommand(named))
    await client.send(
      new cloudformation.CreateChangeSetCommand({ ...shared, UsePreviousTemplate: true, Parameters }),
    )
    const changes = await aws.waitForChangeSetCreation(named.ChangeSetName, named.StackName)
    await client.send(new cloudformation.ExecuteChangeSetCommand(aws.getExecuteChangeSetParams()))
    await aws.monitorStack('update', changes)
  }
}

module.exports = { Protection }
