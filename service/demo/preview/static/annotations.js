// What happened meanwhile: deploys and alerts as the board's annotation queries find them.

import { colorOf } from "./colors.js";
import { queryRange } from "./prometheus.js";
import { interpolate, labelled } from "./template.js";
import { duration, step } from "./time.js";

const MOST_POINTS = 1000;

// Each with start and end in seconds. One that cannot be asked for is left out: panels matter more.
export async function annotationsOf(board, view, signal) {
  const asked = (board.annotations?.list ?? []).filter(({ enable, builtIn }) => enable && !builtIn);
  const found = await Promise.allSettled(asked.map((each) => ask(each, view, signal)));
  return found.flatMap(({ value }) => value ?? []);
}

async function ask(annotation, view, signal) {
  const seconds = step(view.seconds, MOST_POINTS, Math.max(view.scrape, duration(annotation.step) ?? 0));
  const expression = interpolate(annotation.target?.expr ?? annotation.expr, view.lookupAt(seconds), "promql");
  const [start, end] = [view.start, view.end].map((time) => Math.floor(time / seconds) * seconds);
  const found = await queryRange(expression, start, end, seconds, signal);
  return found.flatMap(({ labels, points }) => spans(points, seconds).map((span) => ({
    ...span,
    color: colorOf(annotation.iconColor),
    title: labelled(annotation.titleFormat || annotation.name, labels),
    text: labelled(annotation.textFormat ?? "", labels),
  })));
}

function spans(points, seconds) {
  const found = [];
  for (const [time] of points.filter(([, value]) => value)) {
    if (found.length && time - found.at(-1).end <= seconds) found.at(-1).end = time;
    else found.push({ start: time, end: time });
  }
  return found;
}
