// Selects the version of `http` that players reach. The HTTP API calls the function by its alias `live` only.
// CloudFormation creates the alias and then never touches it: only this code moves it, forward after the new
// version's migration, or back.
'use strict'

const cloudformation = require('@aws-sdk/client-cloudformation')
const lambda = require('@aws-sdk/client-lambda')

const ALIAS = 'live'
const LOGICAL_ID = 'HttpLiveAlias'
const MADE_WITH = 'LiveAliasMadeWith' // a parameter and an output
const IS_NEW = 'LiveAliasIsNew'
const DEPLOYED = 'HttpLambdaFunctionQualifiedArn' // serverless's own output: the stack's version
const MIGRATION_SECONDS = 900 // as the time-out of `migrate` in serverless.yml
const KEPT = 3 // of the newest versions, besides those that are referred to
const READY_SECONDS = 300 // SnapStart takes minutes to create a version's snapshot
// Errors of Lambda if it does not run a function that is idle, waking up or being changed.
const NOTHING_RAN = ['CodeArtifactUserPendingException', 'ResourceConflictException', 'ResourceNotReadyException']

// The alias's description records its last move.
const AFTER_DEPLOY = (version) => `before: ${version}`
const AFTER_ROLLBACK = (version) => `rolled back from: ${version}`
const BEFORE_TICKETS =
  'if that is a version without tickets: no one enters a game server that takes tickets only, until a newer version' +
  ' is live. Accounts and sessions are not affected (docs/run/migrations.md)'
const BEFORE_FEED =
  'if that is a version without the feed: game servers with a key get 404, so they let no one in, and nothing tells' +
  ' them who was suspended or signed out, until a newer version is live. Start them without the key meanwhile' +
  ' (docs/run/migrations.md)'
const BEFORE_GUESTS =
  'if that is a version without guests: those who are signed in stay so, but no one signs in by a guest secret, and' +
  ' no event is recorded, until a newer version is live. No account and no secret is lost (docs/run/migrations.md)'

class Live {
  constructor(serverless, log, progress) {
    this.serverless = serverless
    this.log = log
    this.progress = progress
  }

  get provider() {
    return this.serverless.getProvider('aws')
  }

  get http() {
    return this.serverless.service.getFunction('http')
  }

  // By default serverless gives a function an alias only for SnapStart, and under another name.
  nameAlias() {
    const compiler = this.serverless.pluginManager.plugins.find((plugin) => plugin.ensureTargetAliasesInitialized)
    compiler.ensureTargetAliasesInitialized()
    this.http.targetAlias = { name: ALIAS, logicalId: LOGICAL_ID }
  }

  // For CloudFormation the alias always has the stack's first version: if the value changed, a failed stack
  // update would reset it, to an old version.
  compileAlias() {
    const template = this.serverless.service.provider.compiledCloudFormationTemplate
    const functionId = this.provider.naming.getLambdaLogicalId('http')
    const first = { 'Fn::GetAtt': [this.http.versionLogicalId, 'Version'] }
    const madeWith = { 'Fn::If': [IS_NEW, first, { Ref: MADE_WITH }] }
    template.Parameters = {
      ...template.Parameters,
      [MADE_WITH]: {
        Type: 'String',
        Default: '',
        Description: 'The version that the alias live was created with; empty to create it',
      },
    }
    template.Conditions = { ...template.Conditions, [IS_NEW]: { 'Fn::Equals': [{ Ref: MADE_WITH }, ''] } }
    template.Resources[LOGICAL_ID] = {
      Type: 'AWS::Lambda::Alias',
      Properties: { FunctionName: { Ref: functionId }, FunctionVersion: madeWith, Name: ALIAS },
    }
    template.Outputs[MADE_WITH] = {
      Description: 'The version that the alias live was created with',
      Value: madeWith,
    }
    // A version of a failed update has to be deleted with it, otherwise CloudFormation refuses the next try
    // because it exists. Versions that have served stay for rollbacks.
    for (const resource of Object.values(template.Resources)) {
      if (resource.Type === 'AWS::Lambda::Version') resource.DeletionPolicy = 'RetainExceptOnCreate'
    }
  }

  // Before an update, keep the existing alias.
  async keepAlias() {
    const settings = this.serverless.service.provider
    if (settings.shouldNotDeploy) return
    const madeWith = (await this.outputs())[MADE_WITH]
    const others = (settings.stackParameters || []).filter((one) => one.ParameterKey !== MADE_WITH)
    settings.stackParameters = madeWith
      ? [...others, { ParameterKey: MADE_WITH, ParameterValue: madeWith }]
      : others
  }

  // After an update, even an empty one, since an earlier migration may have failed.
  async follow() {
    const client = await this.client()
    const alias = await this.alias(client)
    const outputs = await this.outputs()
    const deployed = outputs[DEPLOYED].split(':').pop()
    this.progress.notice('Migrating the database', { isMainEvent: true })
    await this.migrate(client, alias.FunctionVersion, deployed)
    if (alias.FunctionVersion === deployed) {
      this.log.notice(`live: version ${deployed}`)
      return
    }
    this.progress.notice('Moving the alias live', { isMainEvent: true })
    await this.move(client, alias, deployed, AFTER_DEPLOY(alias.FunctionVersion))
    this.log.notice(`live: version ${deployed}, before: ${alias.FunctionVersion}`)
    await this.prune(client, [deployed, alias.FunctionVersion, outputs[MADE_WITH]])
  }

  // With SnapStart each existing version costs, and keeps the network that it was created in. Players reach
  // the new version already, so a refused list or deletion does not fail the deployment.
  async prune(client, named) {
    const FunctionName = this.http.name
    let old
    try {
      old = await this.old(client, named)
      for (const Qualifier of old) await client.send(new lambda.DeleteFunctionCommand({ FunctionName, Qualifier }))
    } catch (error) {
      this.log.notice(`old versions: not deleted, so they may cost (docs/run/costs.md): ${error.name}: ${error.message}`)
      return
    }
    if (old.length) this.log.notice(`old versions: deleted ${old.join(', ')}`)
  }

  // Versions to delete: none of the newest, and none of `named`.
  async old(client, named) {
    const versions = []
    for await (const page of lambda.paginateListVersionsByFunction({ client }, { FunctionName: this.http.name })) {
      versions.push(...page.Versions.map((one) => one.Version).filter((one) => one !== '$LATEST'))
    }
    const newest = versions.map(Number).sort((a, b) => b - a)
    return newest.slice(KEPT).map(String).filter((version) => !named.includes(version))
  }

  async goBack(wanted) {
    const client = await this.client()
    const alias = await this.alias(client)
    const now = alias.FunctionVersion
    const [, before] = /^before: (\d+)$/.exec(alias.Description || '') || []
    const version = wanted || before
    if (!version) {
      this.fail(
        `version ${now} is live (${alias.Description || 'the first'}), and the previous version is not` +
          ' recorded: name one with VERSION=... (`aws lambda list-versions-by-function` lists them)',
      )
    }
    if (version === now) this.fail(`version ${now} is live already`)
    await this.move(client, alias, version, AFTER_ROLLBACK(now))
    this.log.notice(`live: version ${version}, rolled back from: ${now}`)
    this.log.notice(BEFORE_GUESTS)
    this.log.notice(BEFORE_TICKETS)
    this.log.notice(BEFORE_FEED)
  }

  async migrate(client, live, deployed) {
    // Without retries: after a lost answer the outcome is unknown, and a retry that waits for the first
    // one's lock takes as long again.
    const patient = await this.client({ maxAttempts: 1 }, MIGRATION_SECONDS + 30)
    const FunctionName = this.serverless.service.getFunction('migrate').name
    const serving = live === deployed ? '' : ` Version ${live} continues to serve.`
    await lambda.waitUntilFunctionUpdatedV2({ client, maxWaitTime: READY_SECONDS }, { FunctionName })
    let answer
    try {
      answer = await this.invokeAwake(client, patient, FunctionName)
    } catch (error) {
      const outcome = NOTHING_RAN.includes(error.name) ? 'It did not run' : 'It may still run'
      this.fail(
        `the migration gave no answer: ${error.name}: ${error.message}.${serving} ${outcome};` +
          ' deploy again, which is safe at any time.',
      )
    }
    const said = JSON.parse(Buffer.from(answer.Payload).toString() || 'null')
    if (answer.FunctionError) {
      const text = String(said.errorMessage).replace(/\s+/g, ' ')
      this.fail(
        `the migration failed: ${said.errorType}: ${text}.${serving} Fix it and deploy again. Its` +
          ` log: serverless logs --function migrate --stage ${this.provider.getStage()}`,
      )
    }
    this.log.notice(`migrations: ${said.applied.length ? said.applied.join(', ') : 'none to apply'}`)
  }

  // After some weeks without a call Lambda makes a function idle. It refuses the call that wakes the
  // function, and needs a minute or more before it runs another. A function that becomes Inactive again
  // could not wake: its state has the reason, such as a subnet without free addresses.
  async invokeAwake(client, patient, FunctionName) {
    const command = new lambda.InvokeCommand({ FunctionName, Payload: '{}' })
    let waking = false
    for (const end = Date.now() + READY_SECONDS * 1000; ; await new Promise((done) => setTimeout(done, 2000))) {
      try {
        return await patient.send(command)
      } catch (error) {
        if (!NOTHING_RAN.includes(error.name)) throw error
        const { State, StateReason } = await client.send(new lambda.GetFunctionConfigurationCommand({ FunctionName }))
        if (State === 'Failed' || (State === 'Inactive' && waking) || Date.now() > end) {
          error.message = `${FunctionName} is ${State}, not Active: ${StateReason || 'no reason given'}`
          throw error
        }
        waking = waking || State === 'Pending'
      }
      this.progress.notice('Waking the migration up', { isMainEvent: true })
    }
  }

  async move(client, alias, version, description) {
    await this.makeReady(client, version)
    try {
      await client.send(
        new lambda.UpdateAliasCommand({
          FunctionName: this.http.name,
          Name: ALIAS,
          FunctionVersion: version,
          Description: description,
          RevisionId: alias.RevisionId, // refused if another deployment has moved it meanwhile
        }),
      )
    } catch (error) {
      this.fail(`the alias live was not moved to version ${version}: ${error.name}: ${error.message}`)
    }
  }

  // A version with SnapStart is not ready before its snapshot exists, nor after two weeks without a call.
  async makeReady(client, version) {
    const named = { FunctionName: this.http.name, Qualifier: version }
    for (const end = Date.now() + READY_SECONDS * 1000; ; await new Promise((done) => setTimeout(done, 2000))) {
      let state
      try {
        state = await client.send(new lambda.GetFunctionConfigurationCommand(named))
      } catch (error) {
        this.fail(`there is no version ${version} of ${this.http.name}: ${error.message}`)
      }
      if (state.State === 'Active') return
      if (state.State === 'Failed' || Date.now() > end) {
        this.fail(`version ${version} is ${state.State}, not Active: ${state.StateReason || 'no reason given'}`)
      }
      if (state.State === 'Inactive') {
        // A call wakes it. This event is not a request, so the answer is 400, or an error while it wakes.
        await client.send(new lambda.InvokeCommand({ ...named, Payload: '{}' })).catch(() => {})
      }
    }
  }

  async alias(client) {
    try {
      return await client.send(new lambda.GetAliasCommand({ FunctionName: this.http.name, Name: ALIAS }))
    } catch (error) {
      this.fail(
        `${this.http.name} has no alias ${ALIAS} in ${this.provider.getRegion()}: is this stage` +
          ` deployed there? (${error.name}: ${error.message})`,
      )
    }
  }

  // The stack, or undefined if there is none.
  async stack() {
    const client = new cloudformation.CloudFormationClient(await this.provider.getAwsSdkV3Config())
    const StackName = this.provider.naming.getStackName()
    try {
      const found = await client.send(new cloudformation.DescribeStacksCommand({ StackName }))
      return found.Stacks[0]
    } catch (error) {
      if (error.name !== 'ValidationError') throw error // its way to report "no such stack"
      return undefined
    }
  }

  async outputs() {
    const outputs = (await this.stack())?.Outputs || []
    return Object.fromEntries(outputs.map((one) => [one.OutputKey, one.OutputValue]))
  }

  // Serverless's own settings (proxy, CA, credentials), with a longer time-out.
  async client(options = {}, seconds = 120) {
    const kept = process.env.AWS_CLIENT_TIMEOUT
    process.env.AWS_CLIENT_TIMEOUT = String(seconds * 1000)
    try {
      return new lambda.LambdaClient(await this.provider.getAwsSdkV3Config(options))
    } finally {
      if (kept === undefined) delete process.env.AWS_CLIENT_TIMEOUT
      else process.env.AWS_CLIENT_TIMEOUT = kept
    }
  }

  fail(text) {
    throw new this.serverless.classes.Error(text)
  }
}

module.exports = { IS_NEW, Live, MADE_WITH }
