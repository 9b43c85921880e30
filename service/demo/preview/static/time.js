// Times as Grafana's addresses have them (now-15m, milliseconds), and durations as text.

const SECONDS = { s: 1, m: 60, h: 3600, d: 86400, w: 604800, M: 2592000, y: 31536000 };
const UNITS = { s: "second", m: "minute", h: "hour", d: "day", w: "week", M: "month", y: "year" };
const RELATIVE = /^now(?:-(\d+)([smhdwMy]))?$/;
// Steps of a query that a person finds in a time axis again.
const STEPS = [1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1200, 1800, 3600, 7200, 10800, 21600, 43200];

export const PRESETS = ["now-5m", "now-15m", "now-1h", "now-6h", "now-24h"];

export function secondsOf(text, now = Date.now() / 1000) {
  const relative = RELATIVE.exec(text);
  if (relative) return now - Number(relative[1] ?? 0) * (SECONDS[relative[2]] ?? 1);
  return /^\d+$/.test(text) ? Number(text) / 1000 : Date.parse(text) / 1000;
}

export function duration(text) {
  const parts = /^>?(\d+(?:\.\d+)?)(ms|[smhdwMy])$/.exec(text ?? "");
  if (!parts) return undefined;
  return Number(parts[1]) * (parts[2] === "ms" ? 0.001 : SECONDS[parts[2]]);
}

export function step(seconds, most, least) {
  const exact = Math.max(seconds / most, least);
  return exact <= least ? least : STEPS.find((each) => each >= exact) ?? Math.ceil(exact / 86400) * 86400;
}

export function promDuration(seconds) {
  return Number.isInteger(seconds) ? `${seconds}s` : `${Math.max(1, Math.round(seconds * 1000))}ms`;
}

export function rangeText(from, to) {
  const relative = RELATIVE.exec(from);
  if (relative?.[1] && to === "now") {
    return `Last ${relative[1]} ${UNITS[relative[2]]}${relative[1] === "1" ? "" : "s"}`;
  }
  return `${clock(secondsOf(from), true)} to ${to === "now" ? "now" : clock(secondsOf(to), true)}`;
}

export function clock(seconds, withDay = false) {
  const day = { year: "numeric", month: "short", day: "numeric" };
  const time = { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" };
  return new Date(seconds * 1000).toLocaleString(undefined, withDay ? { ...day, ...time } : time);
}
