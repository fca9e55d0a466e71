import createClient from "openapi-fetch";
import type { paths } from "./schema.js";

const [baseUrl, username, password] = process.argv.slice(2) as [string, string, string];
const client = createClient<paths>({ baseUrl });

const login = await client.POST("/api-token-auth/", { body: { username, password } });
if (!login.data) throw new Error(`${login.response.status}: ${JSON.stringify(login.error)}`);

const headers = { Authorization: `Token ${login.data.token}` };
const secret = await client.GET("/secret/", { headers });
console.log(secret.data?.message);
