// Meets each error as a client of the generated types does, and prints what it has understood.
import createClient from "openapi-fetch";
import type { components, paths } from "./schema.js";

type Detail = components["schemas"]["Detail"];
type Errors = components["schemas"]["AuthTokenErrors"];

const [baseUrl] = process.argv.slice(2) as [string];
const client = createClient<paths>({ baseUrl });
const good = { username: "alice", password: "wonderland" };
const raw = (type: string, text: string | FormData) => ({
  body: good,
  bodySerializer: () => text,
  headers: type ? { "Content-Type": type } : {},
});

// A body that a client has to tell apart: a page of Django's, one text, or texts by field.
function understood(error: Detail | Errors | string): string {
  if (typeof error === "string") return `page: ${/<title>(.*)<\/title>/.exec(error)?.[1]}`;
  if ("detail" in error) return `detail: ${error.detail}`;
  const { username, password, non_field_errors } = error;
  return `fields: ${[username, password, non_field_errors].map((texts) => texts?.join(" ") ?? "-").join(" | ")}`;
}

const large = new FormData();
large.append("file", new Blob(["x".repeat(9_000_000)]), "large");
const login = "/api-token-auth/";
const answers = {
  wrong: await client.POST(login, { body: { ...good, password: "no" } }),
  missing: await client.POST(login, { body: { username: "", password: "" } }),
  parse: await client.POST(login, raw("application/json", "no JSON")),
  page: await client.POST(login, raw("application/json", JSON.stringify("x".repeat(3_000_000)))),
  token: await client.GET("/secret/", { headers: { Authorization: "Token x" } }),
  anonymous: await client.GET("/secret/"),
  format: await client.GET("/secret/", { params: { query: { format: "xml" as "json" } } }),
  method: await client.request("put" as "get", "/secret/", { headers: { Authorization: `Token ${process.argv[3]}` } }),
  accept: await client.POST(login, { body: good, headers: { Accept: "image/png" } }),
  large: await client.POST(login, raw("", large)),
  type: await client.POST(login, raw("text/plain", "x")),
};
for (const [name, { error, response }] of Object.entries(answers)) {
  if (error === undefined) throw new Error(`${name}: ${response.status}`);
  console.log(`${name} ${response.status} ${understood(error)}`);
}

// Printed when the test has locked the database; then there is one more.
process.stdin.once("data", async () => {
  const { error, response } = await client.POST(login, { body: good });
  if (error === undefined) throw new Error(`unavailable: ${response.status}`);
  console.log(`unavailable ${response.status} ${understood(error)} after ${response.headers.get("Retry-After")}`);
});
console.log("ready");
