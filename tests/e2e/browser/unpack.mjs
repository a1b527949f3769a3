// Unpacks the browser of npm, and says where it is, and the libraries and fonts that it brings along.
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const folder = fileURLToPath(new URL("node_modules/.unpacked", import.meta.url));
mkdirSync(folder, { recursive: true });
process.env.TMPDIR = folder; // where the package unpacks to
const { default: chromium, inflate } = await import("@sparticuz/chromium");
const path = await chromium.executablePath();
const libraries = await inflate(fileURLToPath(new URL("../bin/al2023.tar.br", import.meta.resolve("@sparticuz/chromium"))));
console.log(JSON.stringify({ path, libraries: join(libraries, "lib"), fonts: join(folder, "fonts") }));
