// openid-client: a person who answers on another device, by device authorization (RFC 8628) and by CIBA in poll mode.

import { ask, discover, given, oidc, refused, run } from './peer.mjs'

async function device(config, answer) {
  const begun = await oidc.initiateDeviceAuthorization(config, { scope: given.scope, resource: given.resource })
  await ask('device', { ...begun, answer })
  return { begun, tokens: await oidc.pollDeviceAuthorizationGrant(config, begun) }
}

async function ciba(config, answer) {
  const begun = await oidc.initiateBackchannelAuthentication(config, {
    scope: given.scope,
    resource: given.resource,
    login_hint: given.login_hint,
    binding_message: 'Order 7',
  })
  await ask('ciba', { ...begun, answer })
  return { begun, tokens: await oidc.pollBackchannelAuthenticationGrant(config, begun) }
}

await run(async () => {
  const act = { device, ciba }[given.way]
  const config = await discover(oidc.ClientSecretBasic(given.client_secret))
  const yes = await act(config, 'allow')
  const no = await refused(() => act(config, 'refuse'))
  const refreshed = await oidc.refreshTokenGrant(config, yes.tokens.refresh_token)
  return { ...yes, id_token: yes.tokens.claims(), no, refreshed }
})
