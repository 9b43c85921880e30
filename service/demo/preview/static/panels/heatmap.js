import { plot } from "../chart.js";
import { colorOf, faded } from "../colors.js";
import { element } from "../dom.js";
import { fieldOf } from "../fields.js";
import { format } from "../units.js";

const LEAST_OPACITY = 0.12;
const ROW_PX = 14;

export function heatmap(body, { panel, results, view, annotations }) {
  const { series, exemplars, step } = results[0] ?? { series: [] };
  if (series.length === 0) return null;
  const grid = gridOf(series, panel.options?.filterValues?.le ?? 0);
  const unit = panel.options?.yAxis?.unit ?? fieldOf(panel, "").unit;
  const color = colorOf(panel.options?.color?.fill);
  const bound = (index) => (index === 0 ? 0 : grid.bounds[index - 1]);
  const text = (index) => format(bound(index), unit);
  const destroy = plot(body, view, {
    data: [grid.times, grid.times.map(() => null)],
    series: [{ show: false }],
    scale: { range: () => [0, grid.bounds.length] },
    axis: { text, splits: (chart) => every(grid.bounds.length, chart.bbox.height / devicePixelRatio) },
    annotations,
    exemplars: exemplars.map((each) => ({
      seconds: each.seconds, y: heightOf(each.value, grid.bounds),
      name: Object.entries(each.labels).map(([label, value]) => `${label} ${value}`).join(" "),
      text: format(each.value, unit),
    })),
    describe: (index, height) => rowAt(grid, index, Math.floor(height), text, color),
    over: (chart) => draw(chart, grid, step, color, panel.options?.color?.exponent ?? 1),
  });
  body.append(element("div", { className: "scale" }, "0",
    element("i", { css: { background: `linear-gradient(90deg, ${faded(color, LEAST_OPACITY)}, ${color})` } }),
    format(grid.most, "short")));
  return destroy;
}

// Buckets count what is below their bound: each less the one before is what is between them.
function gridOf(series, least) {
  const buckets = series
    .map(({ labels, points }) => ({ bound: labels.le === "+Inf" ? Infinity : Number(labels.le), values: new Map(points) }))
    .sort((one, other) => one.bound - other.bound);
  const times = [...new Set(buckets.flatMap(({ values }) => [...values.keys()]))].sort((one, other) => one - other);
  const cells = buckets.map(({ values }, row) => times.map((time) => {
    const count = (values.get(time) ?? 0) - (buckets[row - 1]?.values.get(time) ?? 0);
    return count > least ? count : 0;
  }));
  const most = cells.flat().reduce((one, other) => Math.max(one, other), 0);
  return { times, bounds: buckets.map(({ bound }) => bound), cells, most };
}

function every(rows, height) {
  const step = Math.max(1, Math.ceil((rows * ROW_PX) / height));
  return Array.from({ length: Math.floor(rows / step) + 1 }, (_, index) => index * step);
}

// Rows are equally high, whatever their bounds: within its row a value stands in proportion.
function heightOf(value, bounds) {
  const row = bounds.findIndex((bound) => value <= bound);
  if (row < 0) return bounds.length;
  const below = row === 0 ? 0 : bounds[row - 1];
  const share = Number.isFinite(bounds[row]) ? (value - below) / (bounds[row] - below) : 0.5;
  return row + share;
}

function draw(chart, { times, cells, most }, step, color, exponent) {
  const { ctx, bbox } = chart;
  const width = chart.valToPos(times[0] + step, "x", true) - chart.valToPos(times[0], "x", true);
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  ctx.clip();
  ctx.fillStyle = color;
  cells.forEach((row, height) => {
    const [bottom, top] = [height, height + 1].map((y) => chart.valToPos(y, "y", true));
    row.forEach((count, index) => {
      if (count === 0) return;
      ctx.globalAlpha = Math.max(LEAST_OPACITY, (count / most) ** exponent);
      const right = chart.valToPos(times[index], "x", true);
      ctx.fillRect(right - width, top + 1, Math.max(1, width - 1), bottom - top - 1);
    });
  });
  ctx.restore();
}

function rowAt({ times, bounds, cells }, index, row, text, color) {
  if (index === null || times[index] === undefined || !cells[row]) return [];
  const name = `${text(row)} to ${text(row + 1)}`;
  return bounds[row] === undefined ? [] : [{ color, name, text: format(cells[row][index], "short") }];
}
