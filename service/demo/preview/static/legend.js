// The names under a time series, with what they come to; a click shows one alone, and all again.

import { element } from "./dom.js";

// `entries`: name, color, and texts of calculations as [called, text]. `shown` is null for all.
export function legend(entries, shown, choose) {
  return element("ul", { className: "legend" }, ...entries.map(({ name, color, calculations }) => {
    const isShown = shown === null || shown === name;
    const numbers = calculations.map(([called, text]) => element("small", {}, `${called} `, element("b", {}, text)));
    const button = element("button", {
      type: "button", ariaPressed: `${shown === name}`, title: name, onclick: () => choose(shown === name ? null : name),
    }, element("i", { css: { background: color } }), element("span", {}, name), ...numbers);
    return element("li", { className: isShown ? "" : "off" }, button);
  }));
}
