// Where a click leads: links of panels, values and boards, as Grafana fills them in.

import { element } from "./dom.js";
import { interpolate } from "./template.js";

// An address to go to, or null: a label's value never makes a link of another kind.
export function addressOf(template, view, fields = {}) {
  const lookup = (name) => {
    if (name === "__url_time_range") return new URLSearchParams({ from: view.from, to: view.to }).toString();
    if (name.startsWith("__data.fields.")) return fields[name.slice("__data.fields.".length)];
    return view.lookup(name);
  };
  const text = interpolate(template, lookup);
  try {
    return ["http:", "https:"].includes(new URL(text, location.href).protocol) ? text : null;
  } catch {
    return null;
  }
}

export function linkTo(link, view, fields, ...content) {
  const href = addressOf(link.url, view, fields);
  if (href === null) return null;
  const target = link.targetBlank ? { target: "_blank", rel: "noreferrer" } : {};
  return element("a", { href, title: link.title, ...target }, ...content);
}

// A board's own links: to all boards of a tag, or to one address.
export function boardLinks(board, others, view) {
  return (board.links ?? []).flatMap((link) => {
    const kept = view.kept({ time: link.keepTime, variables: link.includeVars });
    if (link.type !== "dashboards") return [{ title: link.title, href: addressOf(link.url, view) }];
    return others
      .filter((other) => link.tags.every((tag) => other.tags.includes(tag)))
      .map(({ uid, title }) => ({ uid, title, href: `/d/${encodeURIComponent(uid)}?${kept}` }));
  }).filter(({ href }) => href !== null);
}

// What all titles begin with need not be said so often.
export function shortTitles(titles) {
  const prefix = titles[0]?.match(/^.* \/ /)?.[0];
  const shared = prefix && titles.every((title) => title.startsWith(prefix));
  return titles.map((title) => (shared ? title.slice(prefix.length) : title));
}
