const STRIP_SECONDS = 120;
const STRIP_HEIGHT = 44;

// From 1 ms at the bottom to 10 s at the top, by orders of magnitude.
const delayHeight = (seconds) =>
  Math.min(1, Math.max(0.03, Math.log10(Math.max(1e-3, seconds) * 1000) / 4)) * STRIP_HEIGHT;

function strip(label, ...drawn) {
  const box = `0 0 ${STRIP_SECONDS} ${STRIP_HEIGHT}`;
  return element(
    "svg", { viewBox: box, preserveAspectRatio: "none", role: "img", "aria-label": label }, ...drawn
  );
}

function guide(seconds) {
  const y = STRIP_HEIGHT - delayHeight(seconds);
  return element("line", { x1: 0, x2: STRIP_SECONDS, y1: y, y2: y, class: "guide" });
}

function stallMarks(stalls, now, running) {
  return stalls.flatMap((stall) => {
    const begin = STRIP_SECONDS - (now - Date.parse(stall.started_at) / 1000);
    const width = stall.phase === "ongoing" ? running(stall) : stall.duration_seconds;
    if (begin + width < 0) return [];
    const x = Math.max(0, begin);
    const right = Math.min(STRIP_SECONDS, begin + width);
    const size = { x, width: Math.max(0.6, right - x), y: 0, height: STRIP_HEIGHT };
    return [element("rect", { ...size, class: "stalled" })];
  });
}

function delayStrip(moments, stalls, now, running) {
  const bars = moments.map((moment) => {
    const x = STRIP_SECONDS - (now - moment.at) - 1;
    const height = delayHeight(moment.longest_delay_seconds);
    return `M${x.toFixed(2)} ${STRIP_HEIGHT}v${(-height).toFixed(2)}h.75v${height.toFixed(2)}z`;
  });
  const longest = Math.max(0, ...moments.map((moment) => moment.longest_delay_seconds));
  return strip(
    `The loop was up to ${inSeconds(longest)} late in the last two minutes`,
    ...stallMarks(stalls, now, running),
    guide(0.1),
    guide(1),
    element("path", { d: bars.join(""), class: "delay" })
  );
}

function utilizationStrip(moments, now) {
  const points = moments.map((moment) => {
    const y = STRIP_HEIGHT * (1 - Math.min(1, Math.max(0, moment.utilization_ratio)) * 0.96);
    return [STRIP_SECONDS - (now - moment.at), y.toFixed(2)];
  });
  const line = points.map(([x, y]) => `${x.toFixed(2)} ${y}`).join("L");
  const [first, last] = [points[0], points[points.length - 1]];
  const area = points.length ? `M${first[0]} ${STRIP_HEIGHT}L${line}L${last[0]} ${STRIP_HEIGHT}z` : "";
  return strip(
    "CPU time of the loop's thread in the last two minutes",
    element("path", { d: area, class: "area" }),
    element("path", { d: line ? `M${line}` : "", class: "curve" })
  );
}
