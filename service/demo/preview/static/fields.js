// How a panel shows one series or column: its defaults, what overrides them by name, thresholds, mappings.

import { colorOf } from "./colors.js";
import { format } from "./units.js";

export function fieldOf(panel, name) {
  const { defaults = {}, overrides = [] } = panel.fieldConfig ?? {};
  const field = structuredClone({ custom: {}, links: [], mappings: [], ...defaults });
  for (const { matcher, properties } of overrides) {
    if (matcher.id !== "byName" || matcher.options !== name) continue;
    for (const { id, value } of properties) {
      const [first, second] = id.split(".");
      if (second) field[first][second] = value;
      else field[first] = value;
    }
  }
  return field;
}

export function steps(field) {
  return field.thresholds?.steps ?? [];
}

export function thresholdColor(field, value) {
  const reached = steps(field).filter((step) => step.value === null || value >= step.value);
  return colorOf(reached.at(-1)?.color);
}

export function mapped(field, value) {
  const mapping = field.mappings.find(({ type, options }) => type === "value" && String(value) in options);
  return mapping?.options[String(value)];
}

export function textOf(field, value) {
  return mapped(field, value)?.text ?? format(value, field.unit, field.decimals);
}

const CALCULATIONS = {
  lastNotNull: ["last", (values) => values.at(-1)],
  last: ["last", (values) => values.at(-1)],
  max: ["max", (values) => values.reduce((one, other) => Math.max(one, other), -Infinity)],
  min: ["min", (values) => values.reduce((one, other) => Math.min(one, other), Infinity)],
  mean: ["mean", (values) => values.reduce((one, other) => one + other, 0) / values.length],
  sum: ["total", (values) => values.reduce((one, other) => one + other, 0)],
};

// [what it is called, the number]; null where the series has no number.
export function calculated(name, values) {
  const present = values.filter((value) => value !== null && !Number.isNaN(value));
  const [called, calculate] = CALCULATIONS[name] ?? CALCULATIONS.lastNotNull;
  return [called, present.length ? calculate(present) : null];
}
