// Numbers as Grafana's units show them.

const TIMES = [[1e-6, 1e9, "ns"], [1e-3, 1e6, "µs"], [1, 1e3, "ms"], [60, 1, "s"], [3600, 1 / 60, "min"],
  [86400, 1 / 3600, "h"], [31536000, 1 / 86400, "d"], [Infinity, 1 / 31536000, "y"]];
const SHORT = ["", "K", "Mil", "Bil", "Tri"];
const BINARY = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
const RATES = { ops: "ops/s", reqps: "req/s", cps: "c/s" };
const FORMATS = {
  s: time,
  percentunit: (value, decimals) => percent(value * 100, decimals),
  bytes: (value, decimals) => scaled(value, 1024, BINARY, decimals),
};

// {number, suffix}: some show the suffix smaller.
export function parts(value, unit = "short", decimals = undefined) {
  if (value === null || value === undefined || Number.isNaN(value)) return { number: "–", suffix: "" };
  if (!Number.isFinite(value)) return { number: value > 0 ? "∞" : "−∞", suffix: "" };
  if (FORMATS[unit]) return FORMATS[unit](value, decimals);
  const { number, suffix } = scaled(value, 1000, SHORT, decimals);
  const named = RATES[unit] ?? (unit === "short" || unit === "none" ? "" : unit);
  return { number, suffix: [suffix, named].filter(Boolean).join(" ") };
}

export function format(value, unit, decimals) {
  const { number, suffix } = parts(value, unit, decimals);
  return suffix === "" || suffix === "%" ? number + suffix : `${number} ${suffix}`;
}

function time(value, decimals) {
  if (value === 0) return { number: rounded(0, decimals), suffix: "s" };
  const [, factor, suffix] = TIMES.find(([below]) => Math.abs(value) < below) ?? TIMES.at(-1);
  return { number: rounded(value * factor, decimals), suffix };
}

function percent(value, decimals) {
  // 99.95 % is not 100 %, and that is what it is about.
  const isNear = Math.abs(100 - value) < 1;
  return { number: rounded(value, decimals, isNear ? 3 : 0), suffix: "%" };
}

function scaled(value, base, suffixes, decimals) {
  let power = 0;
  while (Math.abs(value) >= base && power < suffixes.length - 1) {
    value /= base;
    power += 1;
  }
  return { number: rounded(value, decimals), suffix: suffixes[power] };
}

// As many decimals as asked for, or three digits that mean something, or `least` decimals.
function rounded(value, decimals, least = 0) {
  const size = value === 0 ? 0 : Math.floor(Math.log10(Math.abs(value)));
  const text = value.toFixed(decimals ?? Math.min(12, Math.max(least, 2 - size)));
  return decimals === undefined && text.includes(".") ? text.replace(/\.?0+$/, "") : text;
}
