// openid-client: sign-in with OpenID Connect alone: ID token, userinfo, max_age, then RP-initiated logout.

import { ask, discover, given, oidc, refused, run } from './peer.mjs'

await run(async () => {
  const config = await discover(oidc.ClientSecretBasic(given.client_secret), {
    id_token_signed_response_alg: given.algorithm,
  })
  const verifier = oidc.randomPKCECodeVerifier()
  const [state, nonce] = [oidc.randomState(), oidc.randomNonce()]
  const url = oidc.buildAuthorizationUrl(config, {
    redirect_uri: given.redirect_uri,
    scope: 'openid profile email',
    code_challenge: await oidc.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
    max_age: '3600',
    state,
    nonce,
  })
  const answer = new URL(await ask('allow', url.href))
  const checks = { pkceCodeVerifier: verifier, expectedState: state, expectedNonce: nonce, maxAge: 3600 }
  oidc.enableNonRepudiationChecks(config)
  const tokens = await oidc.authorizationCodeGrant(config, answer, checks)
  const subject = tokens.claims().sub
  const userinfo = await oidc.fetchUserInfo(config, tokens.access_token, subject)
  const stranger = await refused(() => oidc.fetchUserInfo(config, 'no-token', subject))
  const logout = oidc.buildEndSessionUrl(config, {
    id_token_hint: tokens.id_token,
    post_logout_redirect_uri: given.post_logout_redirect_uri,
    state: 'left',
  })
  return { tokens, id_token: tokens.claims(), userinfo, stranger, logout: logout.href }
})
