import { element } from "../dom.js";
import { fieldOf, textOf, thresholdColor } from "../fields.js";
import { linkTo } from "../links.js";

const TRANSFORMATIONS = { merge: (table) => table, organize };

export function table(body, { panel, results, view, memory, again }) {
  const found = (panel.transformations ?? []).reduce(
    (whole, { id, options }) => (TRANSFORMATIONS[id] ?? TRANSFORMATIONS.merge)(whole, options), merged(results));
  if (found.rows.length === 0) return null;
  const columns = found.columns.map((column) => ({ ...column, field: fieldOf(panel, column.title) }));
  const by = memory.sort ?? firstSort(panel, columns);
  const choose = (column) => {
    memory.sort = { name: column.name, desc: by?.name === column.name ? !by.desc : column.isNumber };
    again();
  };
  const head = element("tr", {}, ...columns.map((column) => heading(column, by, choose)));
  const rows = sorted(found.rows, by).map((row) => element("tr", {}, ...columns.map((column) => cell(column, row, view))));
  body.append(element("div", { className: "scroll", tabIndex: 0 },
    element("table", {}, element("thead", {}, head), element("tbody", {}, ...rows))));
  return () => {};
}

// One row for each set of labels, with a value of each target that has one.
function merged(results) {
  const valueNames = results.map(({ target }) => (results.length > 1 ? `Value #${target.refId}` : "Value"));
  const rows = new Map();
  const labelNames = new Set();
  results.forEach(({ series }, index) => series.forEach(({ labels, points }) => {
    const pairs = Object.entries(labels).sort();
    const key = JSON.stringify(pairs);
    const row = rows.get(key) ?? { Time: points.at(-1)[0], ...labels };
    row[valueNames[index]] = points.at(-1)[1];
    rows.set(key, row);
    pairs.forEach(([name]) => labelNames.add(name));
  }));
  const text = ["Time", ...labelNames].map((name) => ({ name, title: name, isNumber: false }));
  const numbers = valueNames.map((name) => ({ name, title: name, isNumber: true }));
  return { columns: [...text, ...numbers], rows: [...rows.values()] };
}

function organize({ columns, rows }, { excludeByName = {}, indexByName = {}, renameByName = {} }) {
  const place = ({ name }) => indexByName[name] ?? columns.length;
  const kept = columns
    .filter(({ name }) => !excludeByName[name])
    .sort((one, other) => place(one) - place(other))
    .map((column) => ({ ...column, title: renameByName[column.name] || column.title }));
  return { columns: kept, rows };
}

function firstSort(panel, columns) {
  const [sort] = panel.options?.sortBy ?? [];
  const column = columns.find(({ title }) => title === sort?.displayName);
  return column && { name: column.name, desc: sort.desc };
}

function sorted(rows, by) {
  if (!by) return rows;
  const sign = by.desc ? -1 : 1;
  const isMissing = (value) => value === undefined || Number.isNaN(value);
  return [...rows].sort(({ [by.name]: one }, { [by.name]: other }) => {
    if (isMissing(one) || isMissing(other)) return isMissing(one) - isMissing(other);
    return sign * (typeof one === "number" ? one - other : one.localeCompare(other));
  });
}

function heading(column, by, choose) {
  const direction = by?.name === column.name ? (by.desc ? "descending" : "ascending") : "none";
  return element("th", { className: column.isNumber ? "number" : "", ariaSort: direction, scope: "col" },
    element("button", { type: "button", onclick: () => choose(column) }, column.title));
}

function cell({ name, isNumber, field }, row, view) {
  const value = row[name];
  const text = isNumber ? textOf(field, value) : value ?? "";
  const isColored = isNumber && Number.isFinite(value) && field.custom.cellOptions?.type === "color-text";
  const css = isColored ? { color: thresholdColor(field, value) } : {};
  const [first, ...others] = field.links.map((link, index) => linkTo(link, view, row, index ? link.title : text));
  return element("td", { className: isNumber ? "number" : "", css }, first ?? text,
    ...others.filter(Boolean).flatMap((link) => [" ", element("small", {}, link)]));
}
