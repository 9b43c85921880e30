// The frame around every panel: title, description, links, and one of four states.

import { element } from "../dom.js";
import { linkTo } from "../links.js";
import { PrometheusError } from "../prometheus.js";
import { askAll } from "../queries.js";
import { heatmap } from "./heatmap.js";
import { stat } from "./stat.js";
import { stateTimeline } from "./state-timeline.js";
import { table } from "./table.js";
import { timeseries } from "./timeseries.js";

const DRAWERS = { heatmap, stat, "state-timeline": stateTimeline, table, timeseries };
// Their drawers put a link where the value is.
const LINKED_VALUES = ["stat", "table"];

export class Frame {
  constructor(panel, top) {
    const { x, y, w, h } = panel.gridPos;
    this.panel = panel;
    this.memory = {};
    this.destroy = () => {};
    this.links = element("span", { className: "links" });
    this.body = element("div", { className: "body" });
    const described = panel.description && element("span", {
      className: "info", tabIndex: 0, role: "note", ariaLabel: panel.description, dataset: { text: panel.description },
    }, "i");
    this.root = element("section", {
      className: `panel ${panel.type}`, ariaLabel: panel.title,
      dataset: { panelId: panel.id, state: "loading" },
      css: { "--x": x + 1, "--y": y - top + 1, "--w": w, "--h": h },
    }, element("header", {}, element("h3", {}, panel.title), described || null, this.links), this.body);
  }

  // Ask, and show what comes. Gives the error where it concerns all panels.
  async refresh(view, annotations, signal) {
    this.root.ariaBusy = "true";
    try {
      this.shown = { view, annotations, results: await askAll(this.panel, view, this.body.clientWidth, signal) };
      this.draw();
    } catch (error) {
      return signal.aborted ? null : this.fail(error);
    } finally {
      this.root.ariaBusy = `${signal.aborted}`;
    }
    return null;
  }

  fail(error) {
    const trouble = error instanceof PrometheusError && error.concernsAll ? error : null;
    this.say("error", trouble ? "No answer from Prometheus" : error.message);
    return trouble;
  }

  draw() {
    this.clear();
    const { panel, memory, shown: { view, annotations, results } } = this;
    const drawer = DRAWERS[panel.type];
    if (!drawer) throw new Error(`The preview does not draw panels of type ${panel.type}`);
    const again = () => this.draw();
    const destroy = drawer(this.body, { panel, results, view, annotations, memory, again });
    this.fillLinks(view);
    if (destroy === null) {
      this.say("no-data", panel.fieldConfig?.defaults?.noValue || "No data");
      return;
    }
    this.destroy = destroy;
    this.root.dataset.state = "data";
  }

  fillLinks(view) {
    const ofValues = LINKED_VALUES.includes(this.panel.type) ? [] : this.panel.fieldConfig?.defaults?.links ?? [];
    const links = [...(this.panel.links ?? []), ...ofValues].map((link) => linkTo(link, view, {}, link.title));
    this.links.replaceChildren(...links.filter(Boolean));
  }

  say(state, text) {
    this.clear();
    this.body.append(element("p", { className: "message" }, text));
    this.root.dataset.state = state;
  }

  clear() {
    this.destroy();
    this.destroy = () => {};
    this.body.replaceChildren();
  }
}
