// openid-client: dynamic registration with an initial access token (RFC 7591), then code and PKCE as that client.

import { ask, given, oidc, refused, run } from './peer.mjs'

await run(async () => {
  const server = new URL(given.issuer)
  const metadata = { client_name: 'registered', redirect_uris: [given.redirect_uri], token_endpoint_auth_method: 'none' }
  const options = { execute: [oidc.allowInsecureRequests] }
  const closed = await refused(() => oidc.dynamicClientRegistration(server, metadata, oidc.None(), options))
  const config = await oidc.dynamicClientRegistration(server, metadata, oidc.None(), {
    ...options, initialAccessToken: given.initial_access_token,
  })
  const verifier = oidc.randomPKCECodeVerifier()
  const url = oidc.buildAuthorizationUrl(config, {
    redirect_uri: given.redirect_uri,
    resource: given.resource,
    code_challenge: await oidc.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
  })
  const answer = new URL(await ask('allow', url.href))
  const tokens = await oidc.authorizationCodeGrant(config, answer, { pkceCodeVerifier: verifier })
  return { closed, client: config.clientMetadata(), tokens }
})
