// A certified OpenID Connect server (npm oidc-provider) for tests: node oidc_server.mjs DIRECTORY PORT REDIRECT_URI ...
// Anybody signs in with any name; people's groups are in their name: ada+viewers+approvers. Prints its address once it answers.
import { generateKeyPairSync } from "node:crypto";
import { createServer } from "node:http";
import { pathToFileURL } from "node:url";

const [directory, port, ...redirects] = process.argv.slice(2);
const { default: Provider } = await import(pathToFileURL(`${directory}/node_modules/oidc-provider/lib/index.js`));
const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
const signing = { ...privateKey.export({ format: "jwk" }), use: "sig", alg: "RS256", kid: `key-${process.pid}` };

const server = createServer();
server.listen(Number(port), "127.0.0.1", () => {
  const address = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(address, {
    jwks: { keys: [signing] },
    clients: [
      { client_id: "public", token_endpoint_auth_method: "none", redirect_uris: redirects },
      { client_id: "confidential", client_secret: "s:cret %/", redirect_uris: redirects },
    ],
    claims: { openid: ["sub", "groups"], profile: ["name"], email: ["email"] },
    conformIdTokenClaims: false,
    pkce: { required: () => true },
    cookies: { keys: ["tests"] },
    async findAccount(ctx, id) {
      const [name, ...groups] = id.split("+");
      return { accountId: id, claims: async () => ({ sub: id, name, groups, email: `${name}@corp.example` }) };
    },
  });
  server.on("request", provider.callback());
  console.log(address);
});
