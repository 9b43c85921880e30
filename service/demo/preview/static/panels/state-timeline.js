import { element } from "../dom.js";
import { fieldOf, steps, textOf, thresholdColor } from "../fields.js";
import { clock } from "../time.js";
import { colorOf, faded } from "../colors.js";

const TICKS = 6;

export function stateTimeline(body, { panel, results, view }) {
  const rows = results.flatMap(({ series, step }) => series.map(({ name, points }) => ({
    name, field: fieldOf(panel, name), spans: spansOf(points, step),
  }))).filter(({ spans }) => spans.length);
  if (rows.length === 0) return null;
  const share = (seconds) => `${(100 * Math.min(1, Math.max(0, (seconds - view.start) / view.seconds))).toFixed(3)}%`;
  const lines = rows.flatMap(({ name, field, spans }) => [
    element("span", { className: "name", title: name }, name),
    element("div", { className: "lane" }, ...spans.map((span) => bar(span, field, share))),
  ]);
  const ticks = Array.from({ length: TICKS }, (_, index) => view.start + (index * view.seconds) / (TICKS - 1));
  const axis = element("div", { className: "ticks" }, ...ticks.map((time) => element("time", {}, clock(time))));
  body.append(element("div", { className: "timeline" }, ...lines, element("span"), axis), states(fieldOf(panel, "")));
  return () => {};
}

// Equal values one after the other are one span, unless there was nothing in between.
function spansOf(points, step) {
  const spans = [];
  for (const [time, value] of points.filter(([, number]) => Number.isFinite(number))) {
    const last = spans.at(-1);
    const follows = last && time - last.end < step * 1.5;
    if (follows) last.end = time;
    if (!follows || last.value !== value) spans.push({ start: time, end: time + step, value });
    else last.end = time + step;
  }
  return spans;
}

function bar({ start, end, value }, field, share) {
  const text = textOf(field, value);
  const color = thresholdColor(field, value);
  return element("div", {
    className: "span", title: `${text}, ${clock(start, true)} to ${clock(end, true)}`,
    css: {
      left: share(start), right: `calc(100% - ${share(end)})`,
      background: faded(color, (field.custom.fillOpacity ?? 70) / 100),
    },
  }, text);
}

function states(field) {
  const named = field.mappings.flatMap(({ options }) => Object.entries(options))
    .map(([value, { text }]) => [text, thresholdColor(field, Number(value))]);
  const known = named.length ? named : steps(field).map(({ color, value }) => [textOf(field, value ?? 0), colorOf(color)]);
  return element("ul", { className: "legend" }, ...known.map(([text, color]) =>
    element("li", {}, element("i", { css: { background: color } }), element("span", {}, text))));
}
