// Checks the parameters of serverless.yml before they are used: for contradictions, and before a deployment
// also for placeholders. preflight.py checks everything that AWS would refuse.
'use strict'

const ENGINES = ['mariadb', 'mysql']
const CHOICES = { architecture: ['x86_64', 'arm64'], guests: ['true', 'false'] }
const WHOLE = ['sessionHistoryDays', 'guestDays', 'guestsAlarmPerHour'] // of days auth/settings.py refuses the same
const SECONDS = { ticketSeconds: [30, 300], pollAfterSeconds: [1, 60] } // auth/settings.py refuses the same
const WORDS = 50 // with their lengths and bytes, as in auth/settings.py
const WORD_BYTES = 2000
const SPARE_CONNECTIONS = 10 // for migrations, rotations and administrators

// The parameters that a choice requires.
const NEEDS = [
  ['database', ['existing'], [
    'existingHost', 'existingAdminSecret', 'existingIdentifier',
    'existingVpc', 'existingSubnets', 'existingSecurityGroup',
  ]],
  ['secretsEndpoint', ['existing'], ['existingEndpointSecurityGroup']],
  ['domain', ['route53', 'elsewhere'], ['domainName', 'certificateArn']],
  ['domain', ['route53'], ['hostedZoneId']],
]

// Only serverless.yml can hold a list: on the command line it would be a single text.
const LISTS = ['existingSubnets', 'secretsEndpointSubnets', 'corsOrigins']

const isEmpty = (value) => value === undefined || value === null || value === '' || value.length === 0

// Returns what is wrong with the game's own words, one line each.
const wrongWords = (value) => {
  if (typeof value === 'object') {
    return ['passwordWords is a list: set it as one text, with commas or spaces between the words']
  }
  const lines = []
  const bytes = Buffer.byteLength(String(value))
  if (bytes > WORD_BYTES) {
    lines.push(`passwordWords has ${bytes} bytes: give at most ${WORD_BYTES}`)
  }
  const words = String(value).normalize('NFC').split(/[\s,]+/).filter(Boolean)
  if (words.length > WORDS) {
    lines.push(`passwordWords has ${words.length} words: give at most ${WORDS}`)
  }
  for (const word of words) {
    if ([...word].length < 2 || [...word].length > 24) {
      lines.push(`passwordWords has ${word}: give words of 2 to 24 characters`)
    }
  }
  return lines
}

// Returns the contradictions within a stage's parameters, one line each.
const contradictions = (params) => {
  const lines = []
  for (const [name, values, needs] of NEEDS) {
    for (const other of needs) {
      if (values.includes(String(params[name])) && isEmpty(params[other])) {
        lines.push(`${name} is ${params[name]}, which requires ${other}: set it too`)
      }
    }
  }
  for (const name of LISTS) {
    if (typeof params[name] === 'string' && !params[name].startsWith('${')) {
      lines.push(`${name} is a text, ${params[name]}: set it as a list in serverless.yml, not with --param`)
    }
  }
  if (params.database === 'existing') {
    if (!ENGINES.includes(params.existingEngine)) {
      lines.push(`existingEngine is ${params.existingEngine}: choose ${ENGINES.join(' or ')}`)
    }
    if (String(params.proxy) === 'true') {
      lines.push('proxy: true does not work with database: existing: set proxy: false')
    }
    if (params.secretsEndpoint === 'own' && JSON.stringify(params.secretsEndpointSubnets).includes('PrivateSubnet')) {
      lines.push('secretsEndpointSubnets names subnets that this stage does not create: choose from existingSubnets')
    }
  } else if (params.secretsEndpoint === 'existing') {
    lines.push('secretsEndpoint: existing requires an existing network: set database: existing too')
  }
  if (String(params.proxy) === 'true' && params.database === 'aurora' && Number(params.auroraMinCapacity) === 0) {
    lines.push('a proxy keeps Aurora awake, so auroraMinCapacity 0 saves nothing: give 0.5, or no proxy')
  }
  for (const [name, values] of Object.entries(CHOICES)) {
    if (!values.includes(String(params[name]))) {
      lines.push(`${name} is ${params[name]}: choose ${values.join(' or ')}`)
    }
  }
  for (const name of WHOLE) {
    if (!/^[0-9]{1,5}$/.test(String(params[name]))) {
      lines.push(`${name} is ${params[name]}: give a whole number from 0 to 99999`)
    }
  }
  for (const [name, [least, greatest]] of Object.entries(SECONDS)) {
    const value = params[name]
    if (!/^[0-9]{1,3}$/.test(String(value)) || value < least || value > greatest) {
      lines.push(`${name} is ${value}: give ${least} to ${greatest} seconds`)
    }
  }
  lines.push(...wrongWords(params.passwordWords ?? ''))
  const most = Math.floor((Number(params.databaseConnections) - SPARE_CONNECTIONS) / 2)
  if (String(params.reserveConcurrency) === 'true' && Number(params.concurrency) > most) {
    lines.push(
      `concurrency is ${params.concurrency}, too many for ${params.databaseConnections} databaseConnections,` +
      ` since old and new versions overlap during a deployment: ${most} at most`,
    )
  }
  return lines
}

// Returns the placeholders that must not be deployed.
const placeholders = (params) =>
  [].concat(params.corsOrigins || [])
    .filter((origin) => /(^|[/.])example\.(com|net|org)(:|\/|$)/.test(origin))
    .map((origin) => `corsOrigins has ${origin}, a placeholder: enter the origins of your game's web pages`)

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
      'before:package:cleanup': () => { // first of all, before credentials are needed
        const params = chosen(serverless)
        refuse([...contradictions(params), ...(deploying ? placeholders(params) : [])])
      },
      // Again, for a package that was built earlier.
      'before:deploy:deploy': () => refuse(placeholders(chosen(serverless))),
    }
  }
}

module.exports = Object.assign(Parameters, { chosen, contradictions, placeholders })
