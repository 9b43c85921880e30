// A panel's targets, put to Prometheus.

import { queryExemplars, queryInstant, queryRange } from "./prometheus.js";
import { interpolate, labelled } from "./template.js";
import { duration, step } from "./time.js";

const FEWEST_POINTS = 100;
const MOST_EXEMPLARS = 200;

// Results in the targets' order: target, series with names, exemplars; start, end and step in seconds.
export function askAll(panel, view, width, signal) {
  const targets = (panel.targets ?? []).filter((target) => !target.hide);
  const most = panel.maxDataPoints ?? Math.max(FEWEST_POINTS, Math.floor(width));
  const least = Math.max(view.scrape, duration(panel.interval) ?? 0);
  const seconds = step(view.seconds, most, least);
  const window = {
    start: Math.floor(view.start / seconds) * seconds,
    end: Math.floor(view.end / seconds) * seconds,
    step: seconds,
  };
  return Promise.all(targets.map((target) => ask(target, view, window, signal)));
}

async function ask(target, view, window, signal) {
  const expression = interpolate(target.expr, view.lookupAt(window.step), "promql");
  const { start, end, step: seconds } = window;
  const [found, exemplars] = await Promise.all([
    target.instant
      ? queryInstant(expression, view.end, signal)
      : queryRange(expression, start, end, seconds, signal),
    target.exemplar ? queryExemplars(expression, view.start, view.end, signal) : [],
  ]);
  const series = found.map((each) => ({ ...each, name: nameOf(target, each.labels) }));
  return { target, series, exemplars: fewer(exemplars), ...window };
}

function nameOf({ legendFormat }, labels) {
  if (legendFormat && legendFormat !== "__auto") return labelled(legendFormat, labels);
  const { __name__: name = "", ...others } = labels;
  const pairs = Object.entries(others).map(([label, value]) => `${label}="${value}"`);
  return pairs.length ? `${name}{${pairs.join(", ")}}` : name || "value";
}

// The largest are the interesting ones.
function fewer(exemplars) {
  return exemplars.sort((one, other) => other.value - one.value).slice(0, MOST_EXEMPLARS);
}
