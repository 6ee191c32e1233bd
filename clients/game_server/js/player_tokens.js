/*
Identifies players by their tickets, without asking the login backend: for Node, with Colyseus, ws or
any other library. Copy this file into a game server; it needs only `jose`.

    const tokens = new PlayerTokens("https://login.example.com", "game-login-prod", "eu-1:7777")
    const player = await tokens.verify(ticket) // throws InvalidToken, KeysUnavailable

The public keys are cached for five minutes. A ticket with an unknown key id causes a read at once,
but at most one a minute. While the backend is down, the cached keys stay in use.

jose checks the signature only; every other check is made here, as in player_tokens.py. `iat` is not
compared with our clock: if ours were behind, it would refuse every fresh ticket.
*/

import { compactVerify, importJWK } from "jose"

const MAX_TICKET_LENGTH = 2048
const LIFETIME_SECONDS = 300 // the backend issues no ticket with a longer one
const TYPE = "ticket+jwt"
const AUDIENCE_PREFIX = "server:"
const HEADER_FIELDS = "alg,kid,typ" // so nothing like jku, x5u, jwk or crit is followed
const SERVER_NAME = /^[a-z0-9.:_-]{1,64}$/ // the backend issues tickets for no other
const ID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/ // so that one id has one spelling
const TICKET_ID = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/
const MAX_EPOCH = 2 ** 31 - 1
const THIS_MACHINE = /^(localhost|127(\.\d+){3}|\[::1\])$/

const JWKS_PATH = "/.well-known/jwks.json"
const MAX_JWKS_BYTES = 65536
const READ_MS = 5_000
const KEEP_MS = 300_000 // the JWKS's own max-age
const RETRY_MS = 60_000 // the least time between two reads
const FIRST_RETRY_MS = 5_000 // while there are no keys at all

/** It is no ticket of the backend for this server, or has expired; the message says why. */
export class InvalidToken extends Error {
  name = "InvalidToken"
}

/** The public keys have not been read yet and cannot be read now: try again later. */
export class KeysUnavailable extends Error {
  name = "KeysUnavailable"
}

/**
 * The player that a ticket was issued to. Times are seconds since 1970; `expiresAt` is the
 * ticket's: how long the player stays is the server's decision. Later tickets have greater ids.
 * @typedef {{accountId: string, sessionId: string, name: string, epoch: number, guest: boolean,
 *   ticketId: string, issuedAt: number, expiresAt: number}} Player
 */

/** Verifies tickets. */
export class PlayerTokens {
  #url
  #issuer
  #audiences
  #clock
  #monotonic
  #keys = new Map()
  #readAt = -Infinity
  #triedAt = -Infinity
  #reading = null

  /**
   * Takes the backend's URL, its tickets' `iss`, and the server's own name, or all its names.
   * Throws if the URL is neither https nor this machine, or if no ticket has such a name.
   * @param {string} backend
   * @param {string} issuer
   * @param {string | string[]} server
   * @param {{clock?: () => number, monotonic?: () => number}} [clocks] in milliseconds
   */
  constructor(backend, issuer, server, clocks = {}) {
    const names = [server].flat()
    if (names.length === 0 || !names.every((name) => matches(SERVER_NAME, name)))
      throw new TypeError("a server's name must be 1 to 64 characters of a-z, 0-9 and . : _ -")
    this.#url = jwksUrl(backend)
    this.#issuer = issuer
    this.#audiences = new Set(names.map((name) => AUDIENCE_PREFIX + name))
    this.#clock = clocks.clock ?? Date.now
    this.#monotonic = clocks.monotonic ?? (() => performance.now())
  }

  /**
   * Returns the player that a ticket was issued to.
   * @param {string} text
   * @returns {Promise<Player>}
   * @throws {InvalidToken} it is forged, expired, for another server, or not a ticket
   * @throws {KeysUnavailable} no key has been read so far, and the backend has none to offer now
   */
  async verify(text) {
    const { alg, key } = await this.#key(headerOf(text).kid)
    let payload
    try {
      ;({ payload } = await compactVerify(text, key, { algorithms: [alg] }))
    } catch {
      throw new InvalidToken("signature is wrong") // jose's text might quote the ticket
    }
    return this.#player(objectIn(payload))
  }

  #player(claims) {
    const { iat, exp } = claims
    check(Number.isSafeInteger(iat) && Number.isSafeInteger(exp), "iat or exp is not an integer")
    check(iat < exp && exp - iat <= LIFETIME_SECONDS, "valid for too long")
    check(this.#audiences.has(claims.aud), "for another server") // a list is never in the set
    check(claims.iss === this.#issuer, "from another issuer")
    const now = this.#clock() / 1000
    check(now < exp, "expired")
    const { sub, sid, name, epoch, jti, nbf = 0, guest = false } = claims
    check(typeof nbf === "number" && nbf <= now, "not valid yet")
    check(matches(ID, sub) && matches(ID, sid), "sub or sid is not an id")
    check(typeof name === "string" && name !== "", "name is not a string")
    check(Number.isInteger(epoch) && 0 <= epoch && epoch <= MAX_EPOCH, "epoch has a wrong form")
    check(typeof guest === "boolean" && matches(TICKET_ID, jti), "guest or jti has a wrong form")
    return {
      accountId: sub,
      sessionId: sid,
      name,
      epoch,
      guest,
      ticketId: jti,
      issuedAt: iat,
      expiresAt: exp,
    }
  }

  async #key(kid) {
    const now = this.#monotonic()
    const stale = !this.#keys.has(kid) || now - this.#readAt >= KEEP_MS
    const pause = this.#keys.size > 0 ? RETRY_MS : FIRST_RETRY_MS
    const isFirst = stale && !this.#reading && now - this.#triedAt >= pause
    if (isFirst) this.#reading = this.#read(now).finally(() => (this.#reading = null))
    // Whoever has a key goes on with it while another call reads.
    if (isFirst || !this.#keys.has(kid)) await this.#reading
    if (this.#keys.size === 0) throw new KeysUnavailable(`no keys read from ${this.#url} so far`)
    const key = this.#keys.get(kid)
    check(key, "signed with an unknown key")
    return key
  }

  /** Reads the keys; keeps the old ones if that fails. */
  async #read(now) {
    try {
      this.#keys = await usableKeys(await readJwks(this.#url))
      this.#readAt = now
    } catch (error) {
      console.warn(`cannot read the keys from ${this.#url}, will retry: ${error.message}`)
    } finally {
      this.#triedAt = this.#monotonic()
    }
  }
}

function check(holds, reason) {
  if (!holds) throw new InvalidToken(reason)
}

function matches(pattern, text) {
  return typeof text === "string" && pattern.test(text)
}

/** Returns the header of a ticket in the canonical spelling of RFC 7515, section 2. */
function headerOf(text) {
  check(typeof text === "string" && text.length <= MAX_TICKET_LENGTH, "not text of up to 2 KiB")
  const parts = text.split(".")
  check(parts.length === 3, "not three parts")
  for (const part of parts)
    check(Buffer.from(part, "base64url").toString("base64url") === part, "not canonical base64url")
  const header = objectIn(Buffer.from(parts[0], "base64url"))
  const isOurs = Object.keys(header).sort().join() === HEADER_FIELDS && header.typ === TYPE
  check(isOurs && typeof header.kid === "string", "not a ticket of the backend")
  return header
}

/** Returns the JSON object in some bytes. */
function objectIn(bytes) {
  let object
  try {
    object = JSON.parse(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes))
  } catch {
    throw new InvalidToken("not JSON")
  }
  check(typeof object === "object" && object !== null && !Array.isArray(object), "not an object")
  return object
}

function jwksUrl(backend) {
  const url = URL.canParse(backend) ? new URL(backend) : null
  const isSafe = url?.protocol === "https:" || url?.protocol === "http:"
  if (!isSafe || (url.protocol === "http:" && !THIS_MACHINE.test(url.hostname)))
    throw new TypeError(`${backend} must be https:// (or http:// on this machine)`)
  return backend.replace(/\/+$/, "") + JWKS_PATH
}

/** Returns the JWKS at a URL, without following redirects. */
async function readJwks(url) {
  const answer = await fetch(url, { redirect: "error", signal: AbortSignal.timeout(READ_MS) })
  if (!answer.ok) throw new Error(`status ${answer.status}`)
  const parts = []
  let length = 0
  for await (const part of answer.body) {
    length += part.length
    if (length > MAX_JWKS_BYTES) throw new Error("JWKS longer than 64 KiB")
    parts.push(part)
  }
  return JSON.parse(Buffer.concat(parts).toString())
}

/** Returns the keys of a JWKS that verify signatures, by id; leaves out all others. */
async function usableKeys(jwks) {
  const keys = new Map()
  for (const entry of Array.isArray(jwks?.keys) ? jwks.keys : []) {
    const alg = algorithmOf(entry)
    if (!alg || typeof entry.kid !== "string" || (entry.use ?? "sig") !== "sig" || "d" in entry)
      continue
    try {
      keys.set(entry.kid, { alg, key: await importJWK(entry, alg) })
    } catch {
      // this one is of no use
    }
  }
  if (keys.size === 0) throw new Error("JWKS has no usable key")
  return keys
}

/** Returns the one algorithm that a key is for (RFC 8725, 3.1): the key decides, not the ticket. */
function algorithmOf(key) {
  switch (key?.kty) {
    case "RSA": // of 2048 bits or more
      return typeof key.n === "string" && key.n.length >= 342 ? "RS256" : null
    case "EC":
      return key.crv === "P-256" ? "ES256" : null
    case "OKP":
      return key.crv === "Ed25519" ? "EdDSA" : null
    default:
      return null
  }
}
