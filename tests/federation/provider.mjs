// A company's OpenID provider for the tests: npm `oidc-provider`, which is strict about PKCE, redirect URIs and clients.
// It is told everything in SETUP (JSON): port, issuer, clients, people, and whether claims stand in the ID token.
import { generateKeyPairSync } from "node:crypto";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const require = createRequire(`${process.env.NODE_FOLDER}/package.json`);
const { default: Provider } = await import(pathToFileURL(require.resolve("oidc-provider")).href);

const setup = JSON.parse(process.env.SETUP);
const keys = [["rsa", { modulusLength: 2048 }], ["ec", { namedCurve: "P-256" }], ["ed25519", {}]].map(
  ([kind, options]) => ({ ...generateKeyPairSync(kind, options).privateKey.export({ format: "jwk" }), use: "sig" }),
);
const provider = new Provider(setup.issuer, {
  clients: setup.clients,
  jwks: { keys },
  claims: {
    openid: ["sub", "acr", "amr", "auth_time"],
    email: ["email", "email_verified"],
    profile: ["name"],
    groups: ["groups"],
  },
  scopes: ["openid", "email", "profile", "groups"],
  acrValues: ["phr", "phrh"],
  conformIdTokenClaims: !setup.claimsInIdToken,
  cookies: { keys: ["only for tests"] },
  features: { devInteractions: { enabled: false }, rpInitiatedLogout: { enabled: true } },
  interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
  enabledJWA: { idTokenSigningAlgValues: ["RS256", "PS256", "ES256", "Ed25519"] },
  findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id, ...setup.people[id] }) }),
  renderError: (context, out) => {
    context.type = "json";
    context.body = out;
  },
});

async function login(context, details) {
  let body = "";
  for await (const chunk of context.req) body += chunk;
  const accountId = new URLSearchParams(body).get("login");
  if (!setup.people[accountId]) {
    return { error: "access_denied", error_description: "nobody of this name" };
  }
  const grant = new provider.Grant({ accountId, clientId: details.params.client_id });
  grant.addOIDCScope(details.params.scope);
  const acr = details.params.acr_values?.split(" ")[0];
  return { login: { accountId, acr, amr: ["pwd", "otp"] }, consent: { grantId: await grant.save() } };
}

provider.use(async (context, next) => {
  if (!context.path.startsWith("/interaction/")) return next();
  const details = await provider.interactionDetails(context.req, context.res);
  if (context.method === "POST") {
    const result = await login(context, details);
    context.respond = false;
    await provider.interactionFinished(context.req, context.res, result, { mergeWithLastSubmission: false });
    return;
  }
  context.type = "html";
  const asked = JSON.stringify(details.params).replaceAll("<", "&lt;");
  context.body = `<!doctype html><html lang="en"><title>Acme</title><h1>Acme</h1><pre>${asked}</pre>
<form method="post"><label>Name <input name="login"></label><button>Sign in</button></form></html>`;
});

provider.listen(setup.port, "127.0.0.1", () => console.log("listening"));
