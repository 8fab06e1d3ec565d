// oauth4webapi, step by step: metadata by RFC 8414, PAR with authorization_details, the code, and the access token as a
// resource server would check it (RFC 9068).

import { ask, given, oauth, refused, run } from './peer.mjs'

const insecure = { [oauth.allowInsecureRequests]: true }

await run(async () => {
  const issuer = new URL(given.issuer)
  const found = await oauth.discoveryRequest(issuer, { algorithm: 'oauth2', ...insecure })
  const as = await oauth.processDiscoveryResponse(issuer, found)
  const protectedResource = new URL(given.resource)
  const described = await oauth.resourceDiscoveryRequest(protectedResource, insecure)
  const rs = await oauth.processResourceDiscoveryResponse(protectedResource, described)
  const client = { client_id: given.client_id }
  const authentication = oauth.ClientSecretPost(given.client_secret)
  const verifier = oauth.generateRandomCodeVerifier()
  const state = oauth.generateRandomState()
  const pushed = await oauth.pushedAuthorizationRequest(as, client, authentication, {
    response_type: 'code',
    redirect_uri: given.redirect_uri,
    resource: given.resource,
    authorization_details: JSON.stringify(given.details),
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
    state,
  }, insecure)
  const { request_uri, expires_in } = await oauth.processPushedAuthorizationResponse(as, client, pushed)
  const url = new URL(as.authorization_endpoint)
  url.searchParams.set('client_id', given.client_id)
  url.searchParams.set('request_uri', request_uri)
  const answer = new URL(await ask('allow', url.href))
  const parameters = oauth.validateAuthResponse(as, client, answer, state)
  const response = await oauth.authorizationCodeGrantRequest(
    as, client, authentication, parameters, given.redirect_uri, verifier, insecure,
  )
  const cache = response.headers.get('cache-control')
  const tokens = await oauth.processAuthorizationCodeResponse(as, client, response)
  const bearer = (token) => new Request(given.resource, { headers: { authorization: `Bearer ${token}` } })
  const access_token = await oauth.validateJwtAccessToken(as, bearer(tokens.access_token), given.resource, insecure)
  const elsewhere = await refused(
    () => oauth.validateJwtAccessToken(as, bearer(tokens.access_token), given.issuer, insecure),
  )
  const refresh = await oauth.refreshTokenGrantRequest(as, client, authentication, tokens.refresh_token, insecure)
  const refreshed = await oauth.processRefreshTokenResponse(as, client, refresh)

  const turned = new URL(await ask('refuse', (await again()).href))
  const no = await refused(async () => oauth.validateAuthResponse(as, client, turned, state))
  const mixed = await refused(async () => {
    const other = new URL(answer)
    other.searchParams.set('iss', 'https://as.example')
    oauth.validateAuthResponse(as, client, other, state)
  })
  return { cache, expires_in, tokens, access_token, elsewhere, refreshed, rs, no, mixed }

  async function again() {
    const more = new URL(as.authorization_endpoint)
    for (const [name, value] of Object.entries({
      client_id: given.client_id,
      response_type: 'code',
      redirect_uri: given.redirect_uri,
      resource: given.resource,
      code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
      code_challenge_method: 'S256',
      state,
    })) more.searchParams.set(name, value)
    return more
  }
})
