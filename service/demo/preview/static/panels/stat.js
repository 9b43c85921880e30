import { element } from "../dom.js";
import { calculated, fieldOf, mapped, textOf, thresholdColor } from "../fields.js";
import { linkTo } from "../links.js";
import { parts } from "../units.js";

export function stat(body, { panel, results, view }) {
  const [calculation = "lastNotNull"] = panel.options?.reduceOptions?.calcs ?? [];
  const values = results.flatMap(({ series }) => series.map(({ name, labels, points }) => {
    const [, value] = calculated(calculation, points.map(([, number]) => number));
    return { name, labels, value, field: fieldOf(panel, name) };
  })).filter(({ value }) => value !== null);
  if (values.length === 0) return null;
  const areNamed = values.length > 1 || panel.options?.textMode === "value_and_name";
  body.append(element("div", { className: "stats" }, ...values.map((each) => shown(each, areNamed, view))));
  return () => {};
}

function shown({ name, labels, value, field }, isNamed, view) {
  const { number, suffix } = mapped(field, value)
    ? { number: textOf(field, value), suffix: "" }
    : parts(value, field.unit, field.decimals);
  const [link] = field.links;
  const color = thresholdColor(field, value);
  const text = element("span", { className: "number", css: { color } }, number, element("small", {}, suffix && ` ${suffix}`));
  return element("div", { className: "one" },
    isNamed ? element("span", { className: "name" }, name) : null,
    (link && linkTo(link, view, labels, text)) ?? text);
}
