// Grafana's names of colours, in the page's light or dark; and one colour for each series' name.

const PALETTE_SIZE = 12;
const PREFIX = /^(super-light|light|semi-dark|dark)-/;

export function css(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

export function colorOf(name) {
  if (!name) return css("text");
  const known = css(name.replace(PREFIX, ""));
  if (known) return known;
  return CSS.supports("color", name) ? name : css("text");
}

export function faded(color, share) {
  return `color-mix(in srgb, ${color} ${Math.round(share * 100)}%, transparent)`;
}

// By name, so that a series has its colour on every panel; another one where two would share it.
export function palette(names) {
  const taken = new Set();
  return names.map((name) => {
    let index = hash(name) % PALETTE_SIZE;
    while (taken.has(index) && taken.size < PALETTE_SIZE) index = (index + 1) % PALETTE_SIZE;
    taken.add(index);
    return css(`series-${index}`);
  });
}

function hash(text) {
  return [...text].reduce((sum, letter) => (Math.imul(sum, 31) + letter.codePointAt(0)) >>> 0, 7);
}
