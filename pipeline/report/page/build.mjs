/**
 * Makes index.html and THIRD_PARTY.md of src/: one page with its script and style inside, and a policy that lets
 * nothing else run.
 *
 *     node build.mjs NODE_MODULES DESTINATION
 *
 * `make page` runs it. What it makes depends on src/ and package-lock.json alone.
 */

import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";

const HERE = import.meta.dirname ?? path.dirname(new URL(import.meta.url).pathname);
const [modules, destination = HERE] = process.argv.slice(2).map((each) => path.resolve(each));
const esbuild = createRequire(path.join(modules, "x"))("esbuild");

const { metafile, outputFiles } = await esbuild.build({
  absWorkingDir: HERE,
  entryPoints: ["src/main.js"],
  outdir: "out",
  bundle: true,
  minify: true,
  charset: "utf8",
  format: "iife",
  target: ["chrome110", "firefox115", "safari16.4"],
  legalComments: "none",
  nodePaths: [modules],
  metafile: true,
  write: false,
});

const built = (ending) => outputFiles.find((each) => each.path.endsWith(ending)).text.trim();
const [script, style] = [built(".js"), built(".css")];
if (/<\/(script|style)|<!--/i.test(script + style)) throw new Error("script or style would end within the page");

const digest = (text) => `'sha256-${createHash("sha256").update(text).digest("base64")}'`;
/** Scripts beside the page are let in by the page's own alone, and by the names that beside.js knows. */
const POLICY = [
  "default-src 'none'",
  `script-src ${digest(script)} 'strict-dynamic'`,
  `style-src ${digest(style)}`,
  "img-src data:",
  "media-src 'self' file:",
  "require-trusted-types-for 'script'",
  "trusted-types melmill",
  "base-uri 'none'",
  "form-action 'none'",
].join("; ");

const parts = { POLICY, STYLE: style, SCRIPT: script };
const page = readFileSync(path.join(HERE, "src/page.html"), "utf8").replace(
  /POLICY|STYLE|SCRIPT(?=<)/g,
  (name) => parts[name],
);
if (page.split(">REPORT<").length !== 2) throw new Error("the place of the report's data is not there once");
writeFileSync(path.join(destination, "index.html"), page);
writeFileSync(path.join(destination, "THIRD_PARTY.md"), thirdParty(Object.values(metafile.outputs)));

/** Which libraries are inside, how large, and under which licence. */
function thirdParty(outputs) {
  const inputs = outputs.flatMap((output) => Object.entries(output.inputs));
  const sizes = {};
  for (const [file, { bytesInOutput }] of inputs) {
    const name = file.match(/node_modules\/((?:@[^/]+\/)?[^/]+)\//)?.[1] ?? "melmill's own";
    sizes[name] = (sizes[name] ?? 0) + bytesInOutput;
  }
  const names = Object.keys(sizes)
    .filter((name) => sizes[name] > 0 && !name.startsWith("melmill"))
    .sort();
  const about = (name) => JSON.parse(readFileSync(path.join(modules, name, "package.json"), "utf8"));
  const row = (name) => `| ${name} | ${about(name).version} | ${about(name).license} | ${sizes[name]} |`;
  const licence = (name) => `## ${name}\n\n${readFileSync(path.join(modules, name, "LICENSE"), "utf8").trim()}\n`;
  return `# Libraries in index.html

Sizes are bytes of the page. Its own code is ${sizes["melmill's own"]} bytes, under melmill's licence.

| library | version | licence | bytes |
|---|---|---|---|
${names.map(row).join("\n")}

${names.map(licence).join("\n")}`;
}
