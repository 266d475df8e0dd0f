/**
 * Files beside the page. A page that is opened from a disk may not fetch, so they are scripts that hold one call,
 * `melmill(PATH, BASE64)`, of bytes that zlib packed; no text of the corpus is in them as text.
 */

const OURS = /^(clips|rows)\/\d+(-[12])?\.js$/;

/** A browser that knows trusted types runs a script only if this has let its address pass, and takes no markup from text. */
const addresses = window.trustedTypes?.createPolicy("melmill", { createScriptURL: own }) ?? { createScriptURL: own };

const waiting = new Map();
const loaded = new Map();

window.melmill = (path, base64) => waiting.get(path)?.(base64);

/**
 * The bytes of a file beside the page; loaded once.
 *
 * @param {string} path relative to the page.
 * @returns {Promise<Uint8Array>} rejected if the file is missing or damaged.
 */
export function beside(path) {
  if (!loaded.has(path)) {
    const bytes = called(path).then(inflated);
    bytes.catch(() => loaded.delete(path));
    loaded.set(path, bytes);
  }
  return loaded.get(path);
}

/** The same as JSON. It is not kept: a table of a million rows is held once. */
export async function jsonBeside(path) {
  const bytes = await beside(path);
  loaded.delete(path);
  return JSON.parse(new TextDecoder().decode(bytes));
}

function called(path) {
  return new Promise((resolve, reject) => {
    const script = document.createElement("script");
    const finish = (then) => (value) => {
      waiting.delete(path);
      script.remove();
      then(value);
    };
    waiting.set(path, finish(resolve));
    script.addEventListener("error", () => finish(reject)(new Error(`${path} is missing beside the page`)));
    script.addEventListener("load", () => finish(reject)(new Error(`${path} does not hold what it should`)));
    script.src = addresses.createScriptURL(path);
    document.head.append(script);
  });
}

function own(path) {
  if (!OURS.test(path)) throw new TypeError(`${path} is not a file of a report`);
  return path;
}

async function inflated(base64) {
  const packed = Uint8Array.from(atob(base64), (each) => each.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}
