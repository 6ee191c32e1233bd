// An HTTP API of API Gateway, as one function sees it (payload format 2.0). Known behaviour of AWS: the path
// arrives decoded, the query does not; only a few media types count as text; several headers of one
// name become one; the gateway answers preflights, and only it sets CORS headers.
'use strict'

const { randomBytes } = require('node:crypto')
const http = require('node:http')

const HEADER_BYTES = 10240 // request line and headers: a quota of API Gateway
const BODY_BYTES = 4 * 1024 * 1024 // a function accepts 6 MB, and base64 turns 3 bytes into 4
const EVENT_BYTES = 6 * 1024 * 1024 // a function's limit; in JSON a character may be 6 bytes
const STARTING_SECONDS = 30 // until the first answer: starting may take long on this machine
const TEXT = /^(text\/[^;]*|application\/(json|xml|javascript))\s*(;|$)/i
const THIS_MACHINE = /^https?:\/\/(localhost|127\.0\.0\.1|\[::1\])(:\d{1,5})?$/
const LATE = { statusCode: 503, message: 'Service Unavailable' }
const BROKEN = { statusCode: 500, message: 'Internal Server Error' }
const LARGE = { statusCode: 413, message: 'Request Entity Too Large' }

exports.gateway = (invocations, cors, seconds) => {
  const lambda = { invocations, seconds, started: false }
  const server = http.createServer({ maxHeaderSize: HEADER_BYTES }, (request, response) => {
    // A client that disconnects during a request ends that request, and nothing else.
    respond(request, response, lambda, cors).catch(() => response.destroy())
  })
  server.on('clientError', (error, socket) => {
    if (!socket.writable) return
    const long = error.code === 'HPE_HEADER_OVERFLOW'
    const status = long ? '431 Request Header Fields Too Large' : '400 Bad Request'
    const body = JSON.stringify({ message: status.slice(4) })
    socket.end(
      `HTTP/1.1 ${status}\r\nContent-Type: application/json\r\nConnection: close\r\n` +
        `Content-Length: ${body.length}\r\n\r\n${body}`,
    )
  })
  return server
}

async function respond(request, response, lambda, cors) {
  const requestId = randomBytes(11).toString('base64')
  const { origin } = request.headers
  const allowed = THIS_MACHINE.test(origin) || cors.allowedOrigins.includes(origin)
  response.setHeader('apigw-requestid', requestId)
  if (isPreflight(request)) {
    if (allowed) allow(response, preflightHeaders(origin, cors))
    response.writeHead(204).end()
    return
  }
  const answer = await answered(request, requestId, lambda)
  if (allowed) allow(response, simpleHeaders(origin, cors))
  send(request, response, answer)
}

async function answered(request, requestId, lambda) {
  const body = await read(request)
  if (body === null) return LARGE
  const payload = JSON.stringify(event(request, body, requestId))
  if (Buffer.byteLength(payload) > EVENT_BYTES) return LARGE
  const seconds = lambda.started ? lambda.seconds : STARTING_SECONDS
  try {
    const response = await fetch(lambda.invocations, {
      method: 'POST',
      body: payload,
      signal: AbortSignal.timeout(seconds * 1000),
    })
    const answer = await response.json()
    // An error of serverless-offline has a statusCode, too, but is not an answer of the handler.
    if (!response.ok || !Number.isInteger(answer?.statusCode)) return BROKEN
    lambda.started = true
    return answer
  } catch (error) {
    return error.name === 'TimeoutError' ? LATE : BROKEN
  }
}

async function read(request) {
  const parts = []
  let size = 0
  for await (const part of request) {
    size += part.length
    if (size <= BODY_BYTES) parts.push(part) // read the rest, so that the client reads the answer
  }
  return size <= BODY_BYTES ? Buffer.concat(parts) : null
}

function event(request, body, requestId) {
  const [rawPath, ...query] = request.url.split('?')
  const path = decoded(rawPath)
  const address = request.socket.remoteAddress
  const { cookie, ...named } = request.headersDistinct
  const headers = Object.fromEntries(
    Object.entries(named).map(([name, values]) => [name, values.join(',')]),
  )
  const isBase64Encoded = !(TEXT.test(headers['content-type']) && isUtf8(body))
  const now = new Date()
  return {
    version: '2.0',
    routeKey: '$default',
    rawPath: path,
    rawQueryString: query.join('?'),
    ...(cookie && { cookies: cookie.flatMap((value) => value.split(/;\s*/)) }),
    headers: {
      ...headers,
      'content-length': String(body.length),
      'x-forwarded-for': [...(named['x-forwarded-for'] ?? []), address].join(', '),
      'x-forwarded-port': String(request.socket.localPort),
      'x-forwarded-proto': 'http',
    },
    requestContext: {
      accountId: '123456789012',
      apiId: 'local',
      domainName: headers.host,
      http: {
        method: request.method,
        path,
        protocol: 'HTTP/1.1',
        sourceIp: address,
        userAgent: headers['user-agent'] ?? '',
      },
      requestId,
      routeKey: '$default',
      stage: '$default',
      time: now.toUTCString(),
      timeEpoch: now.getTime(),
    },
    ...(body.length && { body: body.toString(isBase64Encoded ? 'base64' : 'utf8') }),
    isBase64Encoded: isBase64Encoded && body.length > 0,
  }
}

function send(request, response, answer) {
  const { statusCode, headers = {}, body, isBase64Encoded, cookies, message } = answer
  for (const [name, value] of Object.entries(headers)) {
    if (!/^(access-control-.*|content-length)$/i.test(name)) response.setHeader(name, value)
  }
  if (cookies) response.setHeader('set-cookie', cookies)
  const text = message === undefined ? (body ?? '') : JSON.stringify({ message })
  if (message !== undefined) response.setHeader('content-type', 'application/json')
  const bytes = Buffer.from(text, isBase64Encoded ? 'base64' : 'utf8')
  if (![204, 304].includes(statusCode)) {
    const said = request.method === 'HEAD' && header(headers, 'content-length')
    response.setHeader('content-length', said || bytes.length)
  }
  response.writeHead(statusCode).end(bytes)
}

function header(headers, wanted) {
  return Object.entries(headers).find(([name]) => name.toLowerCase() === wanted)?.[1]
}

function decoded(path) {
  const bytes = path.replace(/%([0-9a-f]{2})/gi, (_, hex) => String.fromCharCode(`0x${hex}`))
  return Buffer.from(bytes, 'latin1').toString()
}

function isUtf8(body) {
  return Buffer.from(body.toString()).equals(body)
}

function isPreflight({ method, headers }) {
  return method === 'OPTIONS' && headers.origin && headers['access-control-request-method']
}

function preflightHeaders(origin, { allowedMethods, allowedHeaders, maxAge }) {
  return {
    'access-control-allow-origin': origin,
    'access-control-allow-methods': allowedMethods.join(','),
    'access-control-allow-headers': allowedHeaders.join(',').toLowerCase(),
    'access-control-max-age': String(maxAge),
  }
}

function simpleHeaders(origin, { exposedResponseHeaders }) {
  return {
    'access-control-allow-origin': origin,
    'access-control-expose-headers': exposedResponseHeaders.join(',').toLowerCase(),
  }
}

function allow(response, headers) {
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value)
}
