// Unpacks the browser of npm, and prints where it is, with the libraries and fonts that it brings along.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const folder = fileURLToPath(new URL("node_modules/.unpacked", import.meta.url));
mkdirSync(folder, { recursive: true });
process.env.TMPDIR = folder; // where the package unpacks to
const { default: chromium, inflate } = await import("@sparticuz/chromium");
const path = await chromium.executablePath();
const libraries = await inflate(fileURLToPath(new URL("../bin/al2023.tar.br", import.meta.resolve("@sparticuz/chromium"))));

// The package's own configuration looks for fonts below /tmp. Without any font Chromium ends at the first text.
const fonts = join(folder, "fonts.conf");
const parts = [`<dir>${join(folder, "fonts")}</dir>`, "<dir>/usr/share/fonts</dir>", `<cachedir>${join(folder, "fonts-cache")}</cachedir>`];
writeFileSync(fonts, `<?xml version="1.0"?>\n<fontconfig>${parts.join("")}</fontconfig>\n`);
console.log(JSON.stringify({ path, libraries: join(libraries, "lib"), fonts }));
