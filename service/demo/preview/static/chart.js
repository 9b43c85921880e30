// What time series and heatmaps have in common: axes, the shared cursor, annotations, exemplars, zooming.

import { css, faded } from "./colors.js";
import { element } from "./dom.js";
import { Tooltip } from "./tooltip.js";
import { changeAddress } from "./view.js";

const uPlot = globalThis.uPlot;
const NEAR_PX = 7;
const MOST_NEAR = 3;
const FONT = "11px system-ui, sans-serif";
const DAY_SECONDS = 86400;

// Draws `data` (uPlot's, without a legend) into `body`. `describe` gives the tooltip's rows at an index;
// `exemplars` have seconds, y, and a text; `over` draws on the canvas, over the series.
export function plot(body, view, options) {
  const { data, series, bands, scale, axis, annotations, exemplars = [], describe, over } = options;
  const counts = { exemplars: exemplars.length, annotations: annotations.length };
  const place = element("div", { className: "chart", dataset: counts });
  body.append(place);
  const size = () => ({ width: Math.max(80, place.clientWidth), height: Math.max(60, place.clientHeight) });
  let tooltip;
  const chart = new uPlot({
    ...size(),
    series: [{}, ...series],
    bands,
    padding: [10, 16, 0, 0],
    legend: { show: false },
    cursor: { y: false, sync: { key: "board" }, drag: { x: true, y: false, setScale: false }, points: { size: 6 } },
    scales: { x: { time: true, range: () => [view.start, view.end] }, y: scale },
    axes: [xAxis(view), yAxis(axis)],
    hooks: {
      draw: [
        ...(over ? [over] : []),
        (self) => clipped(self, () => drawAnnotations(self, annotations)),
        (self) => clipped(self, () => drawExemplars(self, exemplars)),
      ],
      ready: [(self) => { tooltip = new Tooltip(self.over); }],
      setCursor: [(self) => follow(self, tooltip, { annotations, exemplars, describe })],
      setSelect: [(self) => zoom(self)],
    },
  }, data, place);
  const observer = new ResizeObserver(() => place.clientWidth && chart.setSize(size()));
  observer.observe(place);
  return () => {
    observer.disconnect();
    chart.destroy();
  };
}

function lines() {
  return { stroke: css("grid"), width: 1 };
}

// The day is written only where there is more than one.
function xAxis(view) {
  const day = view.seconds > DAY_SECONDS ? "\n{MMM} {D}" : null;
  const values = [[DAY_SECONDS, "{MMM} {D}"], [60, "{HH}:{mm}", day], [0.001, "{HH}:{mm}:{ss}", day]]
    .map(([least, usual, first = null]) => [least, usual, null, null, first, null, null, null, 1]);
  const size = day ? 40 : 26;
  return { stroke: css("dim"), font: FONT, size, gap: 4, space: 70, grid: lines(), ticks: { show: false }, values };
}

function yAxis({ text, ...others }) {
  const values = (_, splits) => splits.map((value) => (value === null ? "" : text(value)));
  return {
    stroke: css("dim"), font: FONT, gap: 4, space: 28, grid: lines(), ticks: { show: false }, values,
    // As wide as its longest text; uPlot asks again while the widths still change.
    size: (self, texts) => {
      if (!texts) return 40;
      self.ctx.font = `${11 * devicePixelRatio}px system-ui, sans-serif`;
      const widths = texts.map((each) => self.ctx.measureText(each ?? "").width / devicePixelRatio);
      return Math.ceil(Math.max(24, ...widths) + 12);
    },
    ...others,
  };
}

function clipped({ ctx, bbox }, draw) {
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  ctx.clip();
  draw();
  ctx.restore();
}

// A line where each begins, and a bar above for as long as it lasts.
function drawAnnotations(chart, annotations) {
  const { ctx, bbox } = chart;
  for (const { start, end, color } of annotations) {
    const [left, right] = [start, end].map((seconds) => chart.valToPos(seconds, "x", true));
    ctx.fillStyle = faded(color, 0.6);
    ctx.fillRect(left, bbox.top, right - left, 3 * devicePixelRatio);
    ctx.strokeStyle = faded(color, 0.8);
    ctx.lineWidth = devicePixelRatio;
    ctx.setLineDash([4, 3].map((length) => length * devicePixelRatio));
    ctx.beginPath();
    ctx.moveTo(left, bbox.top);
    ctx.lineTo(left, bbox.top + bbox.height);
    ctx.stroke();
  }
}

function drawExemplars(chart, exemplars) {
  const { ctx } = chart;
  ctx.fillStyle = faded(css("blue"), 0.75);
  for (const exemplar of exemplars) {
    const { x, y } = placeOf(chart, exemplar, true);
    const radius = 2 * devicePixelRatio;
    ctx.beginPath();
    ctx.arc(x, y, radius, 0, 2 * Math.PI);
    ctx.fill();
  }
}

// One beyond the axis stays at its edge.
function placeOf(chart, { seconds, y }, onCanvas = false) {
  const { min, max } = chart.scales.y;
  return {
    x: chart.valToPos(seconds, "x", onCanvas),
    y: chart.valToPos(Math.min(max, Math.max(min, y)), "y", onCanvas),
  };
}

function follow(chart, tooltip, { annotations, exemplars, describe }) {
  const { left, top, idx } = chart.cursor;
  if (!tooltip || left < 0 || !chart.over.matches(":hover")) {
    tooltip?.hide();
    return;
  }
  const happened = annotations
    .filter(({ start, end }) => chart.valToPos(start, "x") - NEAR_PX <= left && left <= chart.valToPos(end, "x") + NEAR_PX)
    .map(({ color, title, text }) => ({ color, name: title, text }));
  const near = exemplars.filter((exemplar) => {
    const { x, y } = placeOf(chart, exemplar);
    return Math.hypot(x - left, y - top) <= NEAR_PX;
  }).slice(0, MOST_NEAR).map(({ name, text }) => ({ color: css("blue"), name, text }));
  const seconds = chart.posToVal(left, "x");
  const rows = describe(idx, chart.posToVal(top, "y"));
  tooltip.show(left, top, idx === null ? seconds : chart.data[0][idx], [...near, ...happened, ...rows]);
}

function zoom(chart) {
  const { left, width } = chart.select;
  if (width < NEAR_PX) return;
  const [from, to] = [left, left + width].map((x) => `${Math.round(chart.posToVal(x, "x") * 1000)}`);
  changeAddress({ from, to });
}
