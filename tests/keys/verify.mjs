// Verifies one access token as a resource server does: with oauth4webapi's RFC 9068 check and with jose.
import * as oauth from "oauth4webapi";
import { createRemoteJWKSet, jwtVerify } from "jose";

const [issuer, audience, token] = process.argv.slice(1);
const server = { issuer, jwks_uri: `${issuer}/.well-known/jwks.json` };
const request = new Request(audience, { headers: { authorization: `Bearer ${token}` } });
const claims = await oauth.validateJwtAccessToken(server, request, audience, { [oauth.allowInsecureRequests]: true });
const keys = createRemoteJWKSet(new URL(server.jwks_uri));
const { payload } = await jwtVerify(token, keys, { issuer, audience, typ: "at+jwt" });
console.log(JSON.stringify({ oauth4webapi: claims.jti, jose: payload.jti }));
