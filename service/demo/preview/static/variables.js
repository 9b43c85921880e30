// A board's variables: their values out of the address, their options out of Prometheus, their selectors.

import { element } from "./dom.js";
import { labelValues } from "./prometheus.js";
import { ALL, interpolate } from "./template.js";
import { changeAddress } from "./view.js";

const LABEL_VALUES = /^label_values\((?:([^]+),\s*)?([a-zA-Z_]\w*)\)$/;

// With the options that were known before, until others are.
export function variablesOf(board, before = []) {
  const asked = new URLSearchParams(location.search);
  return (board.templating?.list ?? []).map((model) => {
    const chosen = asked.getAll(`var-${model.name}`).map((value) => (value === "All" ? ALL : value));
    return {
      name: model.name,
      label: model.label || model.name,
      type: model.type,
      query: model.query?.query ?? model.query,
      multi: model.multi,
      includeAll: model.includeAll,
      allValue: model.allValue,
      values: chosen.length ? chosen : [model.current?.value ?? []].flat(),
      options: before.find(({ name }) => name === model.name)?.options ?? [],
    };
  });
}

// One after the other: a later one's query may stand on an earlier one.
export async function resolve(view, signal) {
  for (const variable of view.variables) {
    const parts = variable.type === "query" && LABEL_VALUES.exec(variable.query);
    if (!parts) continue;
    const selector = parts[1] && interpolate(parts[1], view.lookupAt(view.scrape), "promql");
    variable.options = await labelValues(parts[2], selector, view.start, view.end, signal);
  }
}

// A list to choose from, for variables whose values were asked for.
export function selector(variable) {
  const chosen = variable.values;
  const names = chosen.map((value) => (value === ALL ? "All" : value)).join(", ");
  const all = variable.includeAll ? [ALL] : [];
  const known = [...new Set([...all, ...variable.options, ...chosen])];
  const options = known.map((value) => {
    const choose = (event) => changeAddress({ [`var-${variable.name}`]: choice(variable, value, event.target.checked) });
    const box = element("input", {
      type: variable.multi ? "checkbox" : "radio", name: `choose-${variable.name}`, value,
      checked: chosen.includes(value), onchange: choose,
    });
    return element("label", {}, box, element("span", {}, value === ALL ? "All" : value));
  });
  const summary = element("summary", {}, element("span", {}, variable.label), element("strong", { title: names }, names));
  return element("details", { className: "variable", dataset: { variable: variable.name } },
    summary, element("div", { className: "options" }, ...options));
}

function choice(variable, value, isChosen) {
  if (!variable.multi || value === ALL) return [value];
  const others = variable.values.filter((each) => each !== ALL && each !== value);
  const now = isChosen ? [...others, value] : others;
  return now.length || !variable.includeAll ? now : [ALL];
}
