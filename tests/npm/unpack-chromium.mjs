// Unpacks the browser of @sparticuz/chromium into TMPDIR, the folder that its own API writes to.
// With the argument "libraries" it also unpacks the shared libraries that a bare machine may lack.
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";

// The package is installed under build/npm, not beside this file.
const require = createRequire(join(process.cwd(), "package.json"));
const entry = require.resolve("@sparticuz/chromium");
const { default: chromium, inflate } = await import(pathToFileURL(entry).href);

if (process.argv[2] === "libraries") await inflate(join(dirname(entry), "..", "bin", "al2023.tar.br"));
else await chromium.executablePath();
