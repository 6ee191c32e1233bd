// A game's sign-in with openapi-fetch and the types that openapi-typescript made of the file:
// a line for each call, with what a game can tell from the answer.
import createClient from "openapi-fetch";
import type { paths } from "./schema.mjs";

declare const process: { argv: string[] };

const [url, calls] = process.argv.slice(2);
const client = createClient<paths>({ baseUrl: url });

for (let call = 0; call < Number(calls); call++) {
  const { data, error, response } = await client.POST("/v1/login", {
    body: { username: "Ada", password: "correct horse battery staple" },
  });
  // @ts-expect-error: API Gateway's own answers have no `error`, so a game must look first.
  type Careless = NonNullable<typeof error>["error"];
  const code = error !== undefined && "error" in error ? error.error.code : null;
  const message = error !== undefined && "message" in error ? error.message : null;
  const player = data?.account.username ?? null;
  console.log(JSON.stringify({ status: response.status, code, message, player }));
}
