// Looks at the parameters of serverless.yml before anything is made of them: at what does not go
// together, and before a deployment also at placeholders. What AWS would refuse, preflight.py asks.
'use strict'

const ENGINES = ['mariadb', 'mysql']
const ARCHITECTURES = ['x86_64', 'arm64']
const SPARE_CONNECTIONS = 10 // for migrations, rotations and administrators

// What a choice asks for besides.
const NEEDS = [
  ['database', ['existing'], [
    'existingHost', 'existingAdminSecret', 'existingIdentifier',
    'existingVpc', 'existingSubnets', 'existingSecurityGroup',
  ]],
  ['secretsEndpoint', ['existing'], ['existingEndpointSecurityGroup']],
  ['domain', ['route53', 'elsewhere'], ['domainName', 'certificateArn']],
  ['domain', ['route53'], ['hostedZoneId']],
]

// Only serverless.yml can hold a list: on the command line it would be one text.
const LISTS = ['existingSubnets', 'secretsEndpointSubnets', 'corsOrigins']

const isEmpty = (value) => value === undefined || value === null || value === '' || value.length === 0

// Returns what is wrong with a stage's parameters in themselves, a line each.
const contradictions = (params) => {
  const lines = []
  for (const [name, values, needs] of NEEDS) {
    for (const other of needs) {
      if (values.includes(String(params[name])) && isEmpty(params[other])) {
        lines.push(`${name} is ${params[name]}, so give ${other} too`)
      }
    }
  }
  for (const name of LISTS) {
    if (typeof params[name] === 'string' && !params[name].startsWith('${')) {
      lines.push(`${name} is a text, ${params[name]}: give the list in serverless.yml, not by --param`)
    }
  }
  if (params.database === 'existing') {
    if (!ENGINES.includes(params.existingEngine)) {
      lines.push(`existingEngine is ${params.existingEngine}: choose ${ENGINES.join(' or ')}`)
    }
    if (String(params.proxy) === 'true') {
      lines.push('proxy is for a database that is made here: give the existing one without it')
    }
    if (params.secretsEndpoint === 'own' && JSON.stringify(params.secretsEndpointSubnets).includes('PrivateSubnet')) {
      lines.push('secretsEndpointSubnets names subnets that are not made: give one or more of existingSubnets')
    }
  } else if (params.secretsEndpoint === 'existing') {
    lines.push('secretsEndpoint: existing is for an existing network: it goes with database: existing')
  }
  if (String(params.proxy) === 'true' && params.database === 'aurora' && Number(params.auroraMinCapacity) === 0) {
    lines.push('a proxy keeps Aurora awake, so auroraMinCapacity 0 saves nothing: give 0.5, or no proxy')
  }
  if (!ARCHITECTURES.includes(params.architecture)) {
    lines.push(`architecture is ${params.architecture}: choose ${ARCHITECTURES.join(' or ')}`)
  }
  const most = Math.floor((Number(params.databaseConnections) - SPARE_CONNECTIONS) / 2)
  if (String(params.reserveConcurrency) === 'true' && Number(params.concurrency) > most) {
    lines.push(
      `concurrency is ${params.concurrency}, too many for ${params.databaseConnections} databaseConnections,` +
      ` since old and new versions overlap during a deployment: ${most} at most`,
    )
  }
  return lines
}

// Returns what nobody can want to deploy.
const placeholders = (params) =>
  [].concat(params.corsOrigins || [])
    .filter((origin) => /(^|[/.])example\.(com|net|org)(:|\/|$)/.test(origin))
    .map((origin) => `corsOrigins has ${origin}, which is nobody's: give the web pages your game runs on`)

// Returns a stage's parameters: the command line's, the stage's own, those of all stages.
const chosen = (serverless) => {
  const { params = {} } = serverless.configurationInput
  const stage = serverless.getProvider('aws').getStage()
  const given = [].concat(serverless.processedInput.options.param || []).map((text) => {
    const [, name, value] = /^([^=]+)=([\s\S]*)$/.exec(text) || [null, text, '']
    return [name, value]
  })
  return { ...params.default, ...params[stage], ...Object.fromEntries(given) }
}

class Parameters {
  constructor(serverless) {
    const refuse = (lines) => {
      if (lines.length) throw new serverless.classes.Error(lines.join('\n'), 'PARAMETERS')
    }
    const deploying = serverless.processedInput.commands[0] === 'deploy'
    this.hooks = {
      'before:package:cleanup': () => { // first of all, before anybody looks for credentials
        const params = chosen(serverless)
        refuse([...contradictions(params), ...(deploying ? placeholders(params) : [])])
      },
      // Once more, for what was packaged before.
      'before:deploy:deploy': () => refuse(placeholders(chosen(serverless))),
    }
  }
}

module.exports = Object.assign(Parameters, { chosen, contradictions, placeholders })
