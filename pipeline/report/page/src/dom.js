/** Elements made from values. Text is only ever put in as text nodes, so no corpus can write markup. */

const SVG = "http://www.w3.org/2000/svg";

/**
 * An HTML element.
 *
 * @param {string} name tag name.
 * @param {Object<string, any>} attributes names with "on" are listeners, `style` is an object of properties; null,
 *   undefined and false are left out.
 * @param {...(Node|string|number|null|undefined|Array)} children nodes, or text.
 * @returns {HTMLElement}
 */
export function el(name, attributes = {}, ...children) {
  return filled(document.createElement(name), attributes, children);
}

/** The same for SVG. */
export function svg(name, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, name), attributes, children);
}

/** Replace what a node holds. */
export function fill(node, ...children) {
  node.replaceChildren(...nodes(children));
  return node;
}

/** A value of the style sheet, such as `--ink`, as it is in the theme of now. */
export function token(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

/** Calls `draw(width)` with the node's width in CSS pixels, now and whenever it changes or the theme does. */
export function redrawn(node, draw) {
  let width = 0;
  const again = () => {
    if (node.clientWidth) draw(node.clientWidth);
  };
  new ResizeObserver(() => {
    if (node.clientWidth === width) return;
    width = node.clientWidth;
    again();
  }).observe(node);
  document.addEventListener("melmill-theme", () => {
    if (node.isConnected) again();
  });
  return node;
}

/** A canvas of a size in CSS pixels, sharp on any screen; its context is scaled to CSS pixels. */
export function sized(canvas, width, height) {
  const ratio = window.devicePixelRatio || 1;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return context;
}

function filled(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "style") for (const [key, each] of Object.entries(value)) node.style.setProperty(key, each);
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...nodes(children));
  return node;
}

function nodes(children) {
  return children
    .flat(Number.POSITIVE_INFINITY)
    .filter((each) => each !== null && each !== undefined && each !== false);
}
