// The strict clients of npm, oauth4webapi and openid-client, with DPoP, introspection and revocation.
// Prints one JSON object: what each step gave.
import { pathToFileURL } from 'node:url'

const { MODULES, ISSUER, CLIENT_ID, CLIENT_SECRET, RESOURCE, CALL } = process.env
const load = (path) => import(pathToFileURL(`${MODULES}/${path}`).href)
const oauth = await load('oauth4webapi/build/index.js')
const openid = await load('openid-client/build/index.js')
const insecure = { [oauth.allowInsecureRequests]: true }
const found = {}

async function withNonce(attempt) {
  try {
    return await attempt()
  } catch (error) {
    if (!oauth.isDPoPNonceError(error)) throw error
    found.nonces = (found.nonces ?? 0) + 1
    return attempt()
  }
}

const issuer = new URL(ISSUER)
const as = await oauth.processDiscoveryResponse(
  issuer,
  await oauth.discoveryRequest(issuer, { algorithm: 'oauth2', ...insecure }),
)
const client = { client_id: CLIENT_ID }
const authentication = oauth.ClientSecretBasic(CLIENT_SECRET)
const keys = await oauth.generateKeyPair('ES256')
const DPoP = oauth.DPoP(client, keys)

const token = await withNonce(async () =>
  oauth.processClientCredentialsResponse(
    as,
    client,
    await oauth.clientCredentialsGrantRequest(as, client, authentication, { resource: RESOURCE }, { DPoP, ...insecure }),
  ),
)
found.token_type = token.token_type

const call = JSON.parse(CALL)
const forward = (handle) =>
  withNonce(() =>
    oauth.protectedResourceRequest(
      token.access_token, 'POST', new URL(RESOURCE), new Headers(call.headers), JSON.stringify(call.body),
      { DPoP: handle, ...insecure },
    ),
  )
const answer = await forward(DPoP)
found.call = { status: answer.status, isError: (await answer.json()).result.isError }

const thief = oauth.DPoP(client, await oauth.generateKeyPair('ES256'))
found.stolen = await forward(thief).then(
  () => 'taken',
  (error) => error.cause.map((challenge) => [challenge.scheme, challenge.parameters.error]),
)

const introspect = async (options = {}) =>
  oauth.processIntrospectionResponse(
    as,
    client,
    await oauth.introspectionRequest(as, client, authentication, token.access_token, { ...insecure, ...options }),
  )
found.introspection = await introspect()
const signed = { ...client, introspection_signed_response_alg: 'ES256' }
const response = await oauth.introspectionRequest(as, signed, authentication, token.access_token, {
  requestJwtResponse: true, ...insecure,
})
found.signed = await oauth.processIntrospectionResponse(as, signed, response)
await oauth.validateApplicationLevelSignature(as, response, insecure)

await oauth.processRevocationResponse(
  await oauth.revocationRequest(as, client, authentication, token.access_token, insecure),
)
found.revoked = await introspect()
found.after = await forward(DPoP).then(
  () => 'taken',
  (error) => error.cause.map((challenge) => [challenge.scheme, challenge.parameters.error]),
)

const config = await openid.discovery(issuer, CLIENT_ID, CLIENT_SECRET, undefined, {
  algorithm: 'oauth2', execute: [openid.allowInsecureRequests],
})
const handle = openid.getDPoPHandle(config, await openid.randomDPoPKeyPair('ES256'))
const other = await openid.clientCredentialsGrant(config, { resource: RESOURCE }, { DPoP: handle })
found.openid_client = { token_type: other.token_type, introspection: await openid.tokenIntrospection(config, other.access_token) }
await openid.tokenRevocation(config, other.access_token)
found.openid_client.revoked = await openid.tokenIntrospection(config, other.access_token)

console.log(JSON.stringify(found))
