// The peer of the token bench: npm's oidc-provider, all in memory, doing the same work: client_credentials with
// client_secret_post and a resource, answered with an ES256 JWT. Standard input: {client_id, client_secret,
// resource}; it writes its port on a line once it listens.
import { generateKeyPairSync } from "node:crypto";
import { createServer } from "node:http";
import Provider from "oidc-provider";

let text = "";
for await (const chunk of process.stdin) text += chunk;
const { client_id, client_secret, resource } = JSON.parse(text);

const key = generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey.export({ format: "jwk" });
const server = createServer();
server.listen(0, "127.0.0.1", () => {
  const provider = new Provider(`http://127.0.0.1:${server.address().port}`, {
    jwks: { keys: [{ ...key, use: "sig", alg: "ES256", kid: "1" }] },
    clients: [
      {
        client_id,
        client_secret,
        grant_types: ["client_credentials"],
        redirect_uris: [],
        response_types: [],
        token_endpoint_auth_method: "client_secret_post",
        id_token_signed_response_alg: "ES256",
      },
    ],
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: () => ({
          scope: "tools:call",
          audience: resource,
          accessTokenTTL: 300,
          accessTokenFormat: "jwt",
          jwt: { sign: { alg: "ES256" } },
        }),
      },
    },
  });
  server.on("request", provider.callback());
  console.log(server.address().port);
});
process.on("SIGTERM", () => process.exit(0));
