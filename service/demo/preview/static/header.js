// The top of a board: what it is, where else to look, and what to show.

import { element } from "./dom.js";
import { boardLinks, shortTitles } from "./links.js";
import { PRESETS, duration, rangeText } from "./time.js";
import { selector } from "./variables.js";
import { changeAddress } from "./view.js";

const FIXED = [["Dashboards", "/dashboards"], ["Runbooks", "/public/runbooks/"]];

// Only where something has changed: somebody may be about to choose.
export function fillHeader(header, board, others, view) {
  const content = JSON.stringify([view.kept().toString(), view.refresh, view.variables]);
  if (header.dataset.content === content) return;
  header.dataset.content = content;
  const focused = header.querySelector("input:focus");
  const open = [...header.querySelectorAll("details[open]")].map(({ dataset }) => dataset.variable);
  const selectors = view.variables.filter(({ options, type }) => type === "query" || options.length).map(selector);
  for (const each of selectors) each.open = open.includes(each.dataset.variable);
  header.replaceChildren(
    links(board, others, view),
    element("div", { className: "about" }, element("h1", {}, board.title), element("p", {}, board.description ?? "")),
    element("div", { className: "controls" }, ...selectors, element("span", { className: "gap" }), range(board, view), refresh(board, view)),
  );
  if (focused) header.querySelector(`input[name="${focused.name}"][value="${CSS.escape(focused.value)}"]`)?.focus();
}

function links(board, others, view) {
  const found = boardLinks(board, others, view);
  const titles = shortTitles(found.map(({ title }) => title));
  const boards = found.map(({ uid, href }, index) => {
    const current = uid === board.uid ? { ariaCurrent: "page" } : {};
    return element("a", { href, ...current }, titles[index]);
  });
  const fixed = FIXED.map(([title, href]) => element("a", { href, className: "fixed" }, title));
  return element("nav", { className: "boards" }, ...boards, element("span", { className: "gap" }), ...fixed);
}

function choices(label, options, chosen, choose) {
  const made = options.map(([value, text]) => element("option", { value, selected: value === chosen }, text));
  const select = element("select", { ariaLabel: label, title: label, onchange: () => choose(select.value) }, ...made);
  return select;
}

function range(board, view) {
  const own = board.time?.to === "now" ? [board.time.from] : [];
  const presets = [...new Set([...PRESETS, ...own])].map((from) => [from, rangeText(from, "now")]);
  const isPreset = view.to === "now" && presets.some(([from]) => from === view.from);
  const custom = isPreset ? [] : [["custom", rangeText(view.from, view.to)]];
  const chosen = isPreset ? view.from : "custom";
  return choices("Time", [...custom, ...presets], chosen, (from) => changeAddress({ from, to: "now" }));
}

function refresh(board, view) {
  const known = new Set([...(board.timepicker?.refresh_intervals ?? []), board.refresh, view.refresh]);
  const intervals = [...known].filter(duration).sort((one, other) => duration(one) - duration(other));
  const options = [["off", "No refresh"], ...intervals.map((text) => [text, `Every ${text}`])];
  return choices("Refresh", options, view.refreshSeconds ? view.refresh : "off", (text) => changeAddress({ refresh: text }));
}
