// openid-client and oauth4webapi: client credentials by each way of proving a client, then introspection and revocation.

import { createPrivateKey } from 'node:crypto'

import { discover, given, header, oauth, oidc, refused, run } from './peer.mjs'

const insecure = { [oauth.allowInsecureRequests]: true }

async function key() {
  const bytes = createPrivateKey(given.private_key).export({ type: 'pkcs8', format: 'der' })
  const kind = { name: 'ECDSA', namedCurve: 'P-256' }
  return { key: await crypto.subtle.importKey('pkcs8', bytes, kind, false, ['sign']), kid: given.kid }
}

const METHODS = {
  client_secret_basic: () => oidc.ClientSecretBasic(given.client_secret),
  client_secret_post: () => oidc.ClientSecretPost(given.client_secret),
  private_key_jwt: async () => oidc.PrivateKeyJwt(await key()),
}

await run(async () => {
  const config = await discover(await METHODS[given.method]())
  const tokens = await oidc.clientCredentialsGrant(config, { scope: given.scope, resource: given.resource })
  const active = await oidc.tokenIntrospection(config, tokens.access_token)
  const unknown = await oidc.tokenIntrospection(config, 'not-a-token')

  // The signed form (RFC 9701), checked by oauth4webapi against the server's keys.
  const issuer = new URL(given.issuer)
  const as = await oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, insecure))
  const client = { client_id: given.client_id, introspection_signed_response_alg: 'ES256' }
  const asked = await oauth.introspectionRequest(
    as, client, await METHODS[given.method](), tokens.access_token, insecure,
  )
  const jwt = await asked.clone().text()
  const signed = await oauth.processIntrospectionResponse(as, client, asked)
  await oauth.validateApplicationLevelSignature(as, asked, insecure)

  await oidc.tokenRevocation(config, tokens.access_token)
  await oidc.tokenRevocation(config, 'not-a-token')
  const ended = await oidc.tokenIntrospection(config, tokens.access_token)
  const wrong = await discover(oidc.ClientSecretPost('wrong'))
  const stranger = await refused(() => oidc.clientCredentialsGrant(wrong))
  return { tokens, active, unknown, signed, signed_header: header(jwt), ended, stranger }
})
