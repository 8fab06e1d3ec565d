// openid-client: code and PKCE, pushed, for a resource, with DPoP whose proofs hold a nonce; refresh with rotation.

import { ask, claims, discover, given, header, oidc, refused, run } from './peer.mjs'

await run(async () => {
  const config = await discover(oidc.None())
  const DPoP = oidc.getDPoPHandle(config, await oidc.randomDPoPKeyPair('ES256'))
  const verifier = oidc.randomPKCECodeVerifier()
  const [state, nonce] = [oidc.randomState(), oidc.randomNonce()]
  const parameters = {
    redirect_uri: given.redirect_uri,
    scope: given.scope,
    resource: given.resource,
    code_challenge: await oidc.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
    state,
    nonce,
  }
  const url = await oidc.buildAuthorizationUrlWithPAR(config, parameters, { DPoP })
  const answer = new URL(await ask('allow', url.href))
  const checks = { pkceCodeVerifier: verifier, expectedState: state, expectedNonce: nonce, idTokenExpected: true }
  const first = await oidc.authorizationCodeGrant(config, answer, checks, { resource: given.resource }, { DPoP })

  const call = JSON.stringify(given.call.body)
  const headers = new Headers({ ...given.call.headers, 'content-type': 'application/json' })
  const resource = new URL(given.resource)
  const called = await oidc.fetchProtectedResource(config, first.access_token, resource, 'POST', call, headers, { DPoP })

  const second = await oidc.refreshTokenGrant(config, first.refresh_token, {}, { DPoP })
  const other = oidc.getDPoPHandle(config, await oidc.randomDPoPKeyPair('ES256'))
  const stolen = await refused(() => oidc.refreshTokenGrant(config, second.refresh_token, {}, { DPoP: other }))
  const third = await oidc.refreshTokenGrant(config, second.refresh_token, {}, { DPoP })
  const again = await refused(() => oidc.refreshTokenGrant(config, second.refresh_token, {}, { DPoP }))
  const ended = await refused(() => oidc.refreshTokenGrant(config, third.refresh_token, {}, { DPoP }))
  return {
    pushed: [...url.searchParams.keys()].sort(),
    iss: answer.searchParams.get('iss'),
    id_token: first.claims(),
    first,
    second: { token_type: second.token_type, scope: second.scope, is_new: second.refresh_token !== first.refresh_token },
    access_token: claims(first.access_token),
    access_token_header: header(first.access_token),
    called: { status: called.status, body: await called.text() },
    refused: { stolen, again, ended },
  }
})
