/** Colour maps as tables of 256 colours: [768] bytes, red, green and blue of each. */

import { interpolateRdBu, interpolateViridis } from "d3-scale-chromatic";

/** Viridis: even steps look even, in print and to the colour-blind too. */
export const VIRIDIS = table(interpolateViridis);

/** Output below input is blue, above it red; the middle is nearly white. */
const ON_LIGHT = table((share) => interpolateRdBu(1 - share));

/** The same on a dark page: the middle is nearly black, the ends are bright. */
const ON_DARK = between([
  [122, 190, 255],
  [38, 92, 158],
  [24, 25, 28],
  [158, 62, 44],
  [255, 158, 128],
]);

/** The diverging map for the theme. */
export function diverging(dark) {
  return dark ? ON_DARK : ON_LIGHT;
}

/** A colour map as a CSS gradient. */
export function gradient(colours, direction = "to right") {
  const stops = Array.from({ length: 17 }, (_, stop) => {
    const at = 3 * Math.round((stop / 16) * 255);
    return `rgb(${colours[at]} ${colours[at + 1]} ${colours[at + 2]})`;
  });
  return `linear-gradient(${direction}, ${stops.join(", ")})`;
}

function table(interpolate) {
  const parse = (text) =>
    text.startsWith("#")
      ? [1, 3, 5].map((at) => Number.parseInt(text.slice(at, at + 2), 16))
      : text.match(/\d+/g).map(Number);
  return Uint8ClampedArray.from(Array.from({ length: 256 }, (_, shade) => parse(interpolate(shade / 255))).flat());
}

function between(stops) {
  return Uint8ClampedArray.from(
    Array.from({ length: 256 }, (_, shade) => {
      const at = (shade / 255) * (stops.length - 1);
      const first = Math.min(Math.floor(at), stops.length - 2);
      return stops[first].map((low, channel) => low + (stops[first + 1][channel] - low) * (at - first));
    }).flat(),
  );
}
