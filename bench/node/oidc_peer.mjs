// The peer of the token bench: npm's oidc-provider, all in memory, doing the same work, answered with ES256 JWTs.
// Standard input: {client_id, client_secret, jwks, resource, redirect_uri, code_challenge}; it writes its port on a line
// once it listens. Two clients: `client_id` with its secret, and `client_id`-key with `jwks`. Beside its own paths:
// GET /made/code?count=N and /made/refresh_token?count=N give what a person would have consented to, one a line;
// GET /made/opaque gives an access token that is no JWT, for it introspects no others.
import { generateKeyPairSync } from "node:crypto";
import { createServer } from "node:http";
import Provider from "oidc-provider";

let text = "";
for await (const chunk of process.stdin) text += chunk;
const order = JSON.parse(text);
const { client_id, client_secret, resource } = order;
const OPAQUE = `${resource}/opaque`;
const SCOPE = "tools:call";

// Its own keeps the last thousand things only.
class Memory {
  static kept = new Map();
  constructor(name) {
    this.name = name;
  }
  key = (id) => `${this.name}:${id}`;
  upsert = async (id, payload) => void Memory.kept.set(this.key(id), payload);
  find = async (id) => Memory.kept.get(this.key(id));
  destroy = async (id) => void Memory.kept.delete(this.key(id));
  consume = async (id) => void (Memory.kept.get(this.key(id)).consumed = Math.floor(Date.now() / 1000));
  revokeByGrantId = async () => undefined;
}

const key = generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey.export({ format: "jwk" });
const common = {
  grant_types: ["client_credentials", "authorization_code", "refresh_token"],
  redirect_uris: [order.redirect_uri],
  response_types: ["code"],
  id_token_signed_response_alg: "ES256",
};
const server = createServer();
server.listen(0, "127.0.0.1", () => {
  const provider = new Provider(`http://127.0.0.1:${server.address().port}`, {
    adapter: Memory,
    jwks: { keys: [{ ...key, use: "sig", alg: "ES256", kid: "1" }] },
    clients: [
      { ...common, client_id, client_secret, token_endpoint_auth_method: "client_secret_post" },
      { ...common, client_id: `${client_id}-key`, jwks: order.jwks, token_endpoint_auth_method: "private_key_jwt" },
    ],
    clientAuthMethods: ["client_secret_post", "private_key_jwt"],
    findAccount: (_ctx, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
    rotateRefreshToken: true,
    issueRefreshToken: () => true,
    ttl: { AuthorizationCode: 600, Grant: 3_600, RefreshToken: 3_600, AccessToken: 300, ClientCredentials: 300 },
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      introspection: { enabled: true },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: (_ctx, asked) => ({
          scope: SCOPE,
          audience: asked,
          accessTokenTTL: 300,
          accessTokenFormat: asked === OPAQUE ? "opaque" : "jwt",
          jwt: { sign: { alg: "ES256" } },
        }),
      },
    },
  });

  async function grant() {
    const given = new provider.Grant({ accountId: "person", clientId: client_id });
    given.addResourceScope(resource, SCOPE);
    given.addOIDCScope("offline_access");
    const client = await provider.Client.find(client_id);
    return { accountId: "person", client, grantId: await given.save(), scope: SCOPE, resource };
  }

  async function make(kind) {
    if (kind === "refresh_token") {
      return new provider.RefreshToken({ ...(await grant()), gty: "authorization_code", rotations: 0 }).save();
    }
    const code = { redirectUri: order.redirect_uri, codeChallenge: order.code_challenge, codeChallengeMethod: "S256" };
    return new provider.AuthorizationCode({ ...(await grant()), ...code, gty: "authorization_code" }).save();
  }

  async function answer(request, response) {
    const url = new URL(request.url, "http://peer");
    const made = [];
    if (url.pathname === "/made/opaque") made.push(OPAQUE);
    else {
      const count = Number(url.searchParams.get("count"));
      while (made.length < count) made.push(await make(url.pathname.split("/")[2]));
    }
    response.end(made.join("\n"));
  }

  const own = provider.callback();
  server.on("request", (request, response) =>
    request.url.startsWith("/made/") ? answer(request, response) : own(request, response),
  );
  console.log(server.address().port);
});
process.on("SIGTERM", () => process.exit(0));
