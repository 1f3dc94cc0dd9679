// An OpenID provider (npm's oidc-provider) as a file of JSON describes it: `node provider.mjs FILE`.
// Its access tokens are JWTs (RFC 9068) for the resource that is asked for (RFC 8707), with roles as Keycloak tells them.
import { readFileSync } from 'node:fs';
import Provider from 'oidc-provider';

const described = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const now = Date.now;
Date.now = () => now() + described.shift * 1000; // for tokens of another time

const provider = new Provider(described.issuer, {
  jwks: { keys: described.keys },
  cookies: { keys: [described.chance] },
  clients: [
    {
      client_id: 'machine', client_secret: described.secret, grant_types: ['client_credentials'],
      redirect_uris: [], response_types: [], id_token_signed_response_alg: described.keys[0].alg,
    },
    {
      client_id: 'app', token_endpoint_auth_method: 'none', grant_types: ['authorization_code'],
      redirect_uris: ['https://app.example/back'], response_types: ['code'],
      id_token_signed_response_alg: described.keys[0].alg,
    },
  ],
  pkce: { required: () => true },
  findAccount: (ctx, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
  extraTokenClaims: (ctx, token) => ({
    realm_access: { roles: described.roles[token.accountId ?? token.clientId] ?? [] },
    ...(token.accountId ? { email: token.accountId, email_verified: true } : {}),
  }),
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: true },
    resourceIndicators: {
      enabled: true,
      useGrantedResource: () => true,
      getResourceServerInfo: (ctx, resource) => ({
        scope: 'openid', audience: resource, accessTokenFormat: 'jwt', accessTokenTTL: 300,
        jwt: { sign: { alg: described.keys[0].alg } },
      }),
    },
  },
});
provider.listen(described.port, '127.0.0.1', () => console.log('ready'));
