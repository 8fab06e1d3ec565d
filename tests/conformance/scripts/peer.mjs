// What the scripts share: the libraries from build/node, and the talk with the test, a JSON text a line.
// The first line on standard input says what to do; `ask` has the test's person do something; `run` prints the result.

import { createRequire } from 'node:module'
import { createInterface } from 'node:readline'
import { pathToFileURL } from 'node:url'

const { resolve } = createRequire(`${process.env.PEERS}/package.json`)

export const oidc = await import(pathToFileURL(resolve('openid-client')))
export const oauth = await import(pathToFileURL(resolve('oauth4webapi')))

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]()
const read = async () => JSON.parse((await lines.next()).value)

export const given = await read()

/** What the test's person does: `allow`, `refuse` and `visit` an address, `device`, `ciba`. */
export async function ask(what, value) {
  console.log(JSON.stringify({ ask: what, value }))
  return read()
}

/** Print what came of it, or the error with the code that the library gives. */
export async function run(act) {
  try {
    console.log(JSON.stringify({ done: await act() }))
    process.exit(0)
  } catch (error) {
    console.error(error)
    process.exit(1)
  }
}

/** The error that an act ends with: the library's code and the server's error. */
export async function refused(act) {
  try {
    await act()
  } catch (error) {
    return { code: error.code, error: error.error, status: error.status }
  }
  throw new Error('this was to be refused')
}

/** A server known to openid-client, as a client with this authentication. */
export async function discover(authentication, metadata = {}, options = {}) {
  return oidc.discovery(new URL(given.issuer), given.client_id, metadata, authentication, {
    execute: [oidc.allowInsecureRequests],
    ...options,
  })
}

/** The claims of a JWT, for the test to look at; checked elsewhere. */
export function claims(jwt) {
  return JSON.parse(Buffer.from(jwt.split('.')[1], 'base64url').toString())
}

export function header(jwt) {
  return JSON.parse(Buffer.from(jwt.split('.')[0], 'base64url').toString())
}
