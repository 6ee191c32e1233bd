// Makes `serverless offline start` answer as a deployment does, in any folder: API Gateway (gateway.js) in
// place of its own HTTP server, and Python started without a shell.
'use strict'

const childProcess = require('node:child_process')
const { randomBytes } = require('node:crypto')
const { syncBuiltinESMExports } = require('node:module')
const { gateway } = require('./gateway')

const OPERATE = 'handler.operate'

module.exports = class {
  constructor(serverless, options, { log }) {
    this.serverless = serverless
    this.options = options
    this.log = log
    this.hooks = {
      'before:offline:start:init': () => this.prepare(),
      'after:offline:start:init': () => this.listen(), // the functions can be called
    }
  }

  prepare() {
    startWithoutShell()
    const { service } = this.serverless
    const all = Object.entries(service.functions)
    const [[key, found]] = all.filter(([, one]) => takeRequests(one))
    // Any web page can send a request to serverless-offline's own port, without reading the answer. So only this
    // function and those of operators are there, and no web page knows their names.
    const suffix = process.env.OPERATE_SUFFIX ?? `-${randomBytes(16).toString('hex')}`
    const served = [[key, found], ...all.filter(([, one]) => one.handler === OPERATE)]
    for (const [name, one] of served) one.name = name + suffix
    service.functions = Object.fromEntries(served)
    this.function = found
  }

  async listen() {
    const { classes, service } = this.serverless
    const { host, httpPort, lambdaPort } = this.options
    const path = `/2015-03-31/functions/${this.function.name}/invocations`
    const invocations = `http://${host}:${lambdaPort}${path}`
    const { TimeoutInMillis } = service.resources.extensions.HttpApiIntegrationHttp.Properties
    const server = gateway(invocations, service.provider.httpApi.cors, TimeoutInMillis / 1000)
    await new Promise((resolve, reject) => {
      server.once('error', reject).listen(Number(httpPort), host, resolve)
    }).catch((error) => {
      throw new classes.Error(`port ${httpPort} cannot be opened: ${error.code}`)
    })
    this.log.notice(`API Gateway is on http://${host}:${httpPort}`)
  }
}

// Removes the HTTP events from a function, so that serverless-offline opens no server of its own.
function takeRequests(configuration) {
  const events = configuration.events ?? []
  configuration.events = events.filter((event) => !event.httpApi)
  return configuration.events.length < events.length
}

// serverless-offline passes the path of its Python script through a shell without quoting, so a space, a quote
// or a dollar sign in the folder's name would break it.
function startWithoutShell() {
  const { spawn } = childProcess
  childProcess.spawn = (command, values, options) =>
    spawn(command, values, options?.shell === true ? { ...options, shell: false } : options)
  syncBuiltinESMExports()
}
