// Grafana's variables in queries and links: $name, ${name}, ${name:format}; and {{label}} in legends.

const REFERENCE = /\$(\w+)|\$\{([\w.]+)(?::(\w+))?\}/g;
const FORMATS = {
  promql,
  regex: (variable) => alternatives(texts(variable).map(escapedForRegex)),
  pipe: (variable) => texts(variable).join("|"),
  raw: (variable) => texts(variable).join(","),
  percentencode: (variable) => encodeURIComponent(texts(variable).join(",")),
  queryparam: (variable) => variable.values
    .map((value) => `var-${encodeURIComponent(variable.name)}=${encodeURIComponent(value)}`).join("&"),
};

export const ALL = "$__all";

// `lookup` gives a variable, a text, or undefined: then the reference stays as it is.
export function interpolate(text, lookup, usual = "raw") {
  return text.replace(REFERENCE, (whole, bare, braced, format) => {
    const found = lookup(bare ?? braced);
    if (found === undefined) return whole;
    if (typeof found === "string") return format === "percentencode" ? encodeURIComponent(found) : found;
    return (FORMATS[format ?? usual] ?? FORMATS.raw)(found);
  });
}

export function labelled(text, labels) {
  return text.replace(/\{\{\s*(\w+)\s*\}\}/g, (_, name) => labels[name] ?? "");
}

function isWhole(variable) {
  return variable.values.includes(ALL) && variable.allValue !== undefined;
}

function texts(variable) {
  if (isWhole(variable)) return [variable.allValue];
  return variable.values.includes(ALL) ? variable.options : variable.values;
}

// As Grafana's Prometheus data source does: the value stands in a matcher's string.
function promql(variable) {
  if (isWhole(variable)) return variable.allValue;
  if (!variable.multi) return texts(variable).join(",").replace(/["\\]/g, "\\$&");
  const inString = (text) => escapedForRegex(text).replace(/["\\]/g, "\\$&");
  return alternatives(texts(variable).map(inString));
}

function escapedForRegex(text) {
  return text.replace(/[\\^$*+?.()|[\]{}]/g, "\\$&");
}

function alternatives(values) {
  return values.length === 1 ? values[0] : `(${values.join("|")})`;
}
