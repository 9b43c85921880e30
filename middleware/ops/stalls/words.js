"use strict";

// What comes from the application becomes text and attributes, never markup.
const SVG_TAGS = new Set(["svg", "g", "path", "rect", "line", "text", "title"]);

function element(tag, attributes = {}, ...children) {
  const made = SVG_TAGS.has(tag)
    ? document.createElementNS("http://www.w3.org/2000/svg", tag)
    : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined && value !== false) made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

const CAUSES = {
  blocking_call: "blocking call",
  cpu: "CPU",
  cpu_gil_held: "CPU, GIL held",
  gil_held_off_cpu: "waits, GIL held",
  gil_wait_other_thread: "another thread had the GIL",
  gc_pause: "garbage collection",
  cpu_starved: "host busy",
  cgroup_throttled: "CPU quota used up",
  process_stopped: "process stopped",
  loop_saturated: "too many callbacks",
  unknown: "unknown",
};

const WITNESSES = {
  watchdog: "the watchdog thread, while it lasted",
  remote: "the sidecar, from outside, while it lasted",
  late: "the watchdog thread, when the GIL was free again",
};

const MODES = {
  remote: "Watched from inside and outside: a call that holds the GIL is seen while it lasts.",
  watchdog: "Watched from inside: what holds the GIL is seen when it lets go.",
  off: "",
};

function inSeconds(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  if (seconds < 0.9995) {
    const ms = seconds * 1000;
    return `${ms > 0 && ms < 1 ? ms.toFixed(1) : Math.round(ms)} ms`;
  }
  if (seconds < 59.995) return `${seconds.toFixed(2)} s`;
  return `${Math.floor(Math.round(seconds) / 60)} min ${Math.round(seconds) % 60} s`;
}

function ago(seconds) {
  if (seconds < 5) return "just now";
  if (seconds < 100) return `${Math.floor(seconds)} s ago`;
  if (seconds < 6000) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 172800) return `${Math.floor(seconds / 3600)} h ago`;
  return `${Math.floor(seconds / 86400)} days ago`;
}

function clock(date) {
  const time = date.toLocaleTimeString([], { hour12: false });
  const today = new Date().toDateString() === date.toDateString();
  return today ? time : `${date.toLocaleDateString()} ${time}`;
}

const share = (part, whole) => `${whole > 0 ? Math.round((100 * part) / whole) : 0} %`;
const count = (number, word) => `${number} ${word}${number === 1 ? "" : "s"}`;
const nameOf = (frame) => `${frame.module}:${frame.function}`;
const placeOf = (frame) => `${frame.file}:${frame.line}`;
const cause = (stall) =>
  element("span", { class: `badge ${stall.cause}` }, CAUSES[stall.cause] || stall.cause);
