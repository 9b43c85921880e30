import { colorOf, css, faded, palette } from "../colors.js";
import { plot } from "../chart.js";
import { calculated, fieldOf, steps, textOf } from "../fields.js";
import { legend } from "../legend.js";

const uPlot = globalThis.uPlot;

export function timeseries(body, { panel, results, view, annotations, memory, again }) {
  const all = linesOf(panel, results);
  if (all.length === 0) return null;
  const shown = all.some(({ name }) => name === memory.shown) ? memory.shown : null;
  const lines = all.filter(({ name }) => shown === null || name === shown);
  const field = fieldOf(panel, "");
  const { columns, bands } = stacked(lines, field.custom.stacking?.mode === "normal");
  const destroy = plot(body, view, {
    data: [all[0].times, ...columns],
    series: lines.map(style),
    bands,
    scale: { range: rangeOf(field) },
    axis: { text: (value) => textOf(field, value), ...incrementsOf(field) },
    annotations,
    exemplars: results.flatMap(({ exemplars }) => exemplars.map((each) => dot(each, field))),
    describe: (index) => rowsAt(lines, index, panel.options?.tooltip),
    over: (chart) => drawThresholds(chart, field),
  });
  const { showLegend, calcs = [] } = panel.options?.legend ?? {};
  if (showLegend !== false) body.append(legend(all.map((line) => entry(line, calcs)), shown, (name) => {
    memory.shown = name;
    again();
  }));
  return destroy;
}

// Every series on the panel's grid of times; what is no number is a gap.
function linesOf(panel, results) {
  const found = results.flatMap(({ series, start, end, step }) => series.map(({ name, points }) => {
    const times = Array.from({ length: Math.round((end - start) / step) + 1 }, (_, index) => start + index * step);
    const values = times.map(() => null);
    for (const [seconds, value] of points) {
      if (Number.isFinite(value)) values[Math.round((seconds - start) / step)] = value;
    }
    return { name, times, values, field: fieldOf(panel, name) };
  })).filter(({ values }) => values.some((value) => value !== null));
  const colors = palette(found.map(({ name }) => name));
  return found.map((line, index) => ({ ...line, color: colors[index] }));
}

// Stacked, each line stands on the one before, and its area ends there.
function stacked(lines, isStacked) {
  if (!isStacked) return { columns: lines.map(({ values }) => values) };
  const below = lines[0].values.map(() => 0);
  const columns = lines.map(({ values }) => values.map((value, index) => {
    if (value === null) return null;
    below[index] += value;
    return below[index];
  }));
  return { columns, bands: lines.slice(1).map((_, index) => ({ series: [index + 2, index + 1] })) };
}

function style({ name, color, field: { custom } }) {
  return {
    label: name,
    stroke: color,
    width: custom.lineWidth ?? 1,
    fill: custom.fillOpacity ? faded(color, custom.fillOpacity / 100) : undefined,
    dash: custom.lineStyle?.fill === "dash" ? custom.lineStyle.dash : undefined,
    points: { size: 4, fill: color },
  };
}

function rangeOf({ min, max }) {
  return (_, lowest, highest) => {
    const [low, high] = [min ?? lowest ?? 0, max ?? highest ?? 1];
    const [from, to] = uPlot.rangeNum(low, high > low ? high : low + 1, 0.1, true);
    return [min ?? from, max ?? (high > low ? to : low + 1)];
  };
}

function incrementsOf({ unit }) {
  return unit === "bytes" ? { incrs: Array.from({ length: 50 }, (_, power) => 2 ** power) } : {};
}

function dot({ seconds, value, labels }, field) {
  const named = Object.entries(labels).map(([label, text]) => `${label} ${text}`).join(" ");
  return { seconds, y: value, name: named, text: textOf(field, value) };
}

function rowsAt(lines, index, { mode = "single", sort = "none" } = {}) {
  if (index === null || mode === "none") return [];
  const present = lines.filter(({ values }) => values[index] !== null && values[index] !== undefined);
  const sign = { desc: -1, asc: 1 }[sort] ?? 0;
  return present
    .sort((one, other) => sign * (one.values[index] - other.values[index]))
    .map(({ name, color, values, field }) => ({ color, name, text: textOf(field, values[index]) }));
}

function drawThresholds(chart, field) {
  if ((field.custom.thresholdsStyle?.mode ?? "off") === "off") return;
  const { ctx, bbox } = chart;
  for (const { color, value } of steps(field)) {
    if (value === null || value < chart.scales.y.min || value > chart.scales.y.max) continue;
    const y = Math.round(chart.valToPos(value, "y", true));
    ctx.save();
    ctx.strokeStyle = color === "text" ? css("dim") : colorOf(color);
    ctx.lineWidth = devicePixelRatio;
    ctx.setLineDash([10, 6].map((length) => length * devicePixelRatio));
    ctx.beginPath();
    ctx.moveTo(bbox.left, y);
    ctx.lineTo(bbox.left + bbox.width, y);
    ctx.stroke();
    ctx.restore();
  }
}

function entry({ name, color, values, field }, calcs) {
  const calculations = calcs.map((calc) => {
    const [called, value] = calculated(calc, values);
    return [called, textOf(field, value)];
  });
  return { name, color, calculations };
}
