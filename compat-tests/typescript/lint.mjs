// A second validator of OpenAPI documents: `node lint.mjs own|structure FILE`; prints each problem.
import { createConfig, lint } from "@redocly/openapi-core";

const [rules, ref] = process.argv.slice(2);
const config = await createConfig(
  rules === "structure"
    ? { rules: { struct: "error", "no-unresolved-refs": "error", "operation-operationId-unique": "error" } }
    : {
        extends: ["recommended-strict"],
        // The paths are Django's; the licence is a choice of two, which has no page.
        rules: { "no-path-trailing-slash": "off", "info-license-url": "off", "info-license-strict": "off" },
      },
);
const problems = await lint({ ref, config });
for (const { ruleId, message, location } of problems) console.log(ruleId, message, location[0]?.pointer);
process.exitCode = problems.length ? 1 : 0;
