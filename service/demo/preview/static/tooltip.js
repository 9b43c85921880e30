// The box beside the cursor of one chart.

import { element } from "./dom.js";
import { clock } from "./time.js";

const MOST_ROWS = 12;

export class Tooltip {
  constructor(over) {
    this.over = over;
    this.box = element("div", { className: "tooltip", hidden: true });
    over.append(this.box);
  }

  hide() {
    this.box.hidden = true;
  }

  // `rows`: color, name, text.
  show(left, top, seconds, rows) {
    const lines = rows.slice(0, MOST_ROWS).map(({ color, name, text }) => element("div", { className: "line" },
      element("i", { css: { background: color } }), element("span", {}, name), element("b", {}, text)));
    const more = rows.length > MOST_ROWS ? [element("div", {}, `and ${rows.length - MOST_ROWS} more`)] : [];
    this.box.replaceChildren(element("time", {}, clock(seconds, true)), ...lines, ...more);
    this.box.hidden = false;
    const flipped = left > this.over.clientWidth / 2;
    const x = flipped ? left - this.box.offsetWidth - 12 : left + 12;
    this.box.style.transform = `translate(${Math.round(x)}px, ${Math.round(Math.max(-30, top - 20))}px)`;
  }
}
