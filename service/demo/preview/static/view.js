// What is shown: time, variables and refresh, as the page's address has them, and what queries need of it.

import { duration, promDuration, secondsOf } from "./time.js";

export class View {
  constructor(board, variables, { scrape = 15 } = {}) {
    const asked = new URLSearchParams(location.search);
    this.from = asked.get("from") ?? board.time?.from ?? "now-1h";
    this.to = asked.get("to") ?? board.time?.to ?? "now";
    this.refresh = asked.get("refresh") ?? board.refresh ?? "";
    this.variables = variables;
    this.scrape = scrape;
    const now = Date.now() / 1000;
    this.end = secondsOf(this.to, now);
    this.start = secondsOf(this.from, now);
    if (!(this.start < this.end)) [this.start, this.end] = [now - 3600, now];
  }

  get seconds() {
    return this.end - this.start;
  }

  get refreshSeconds() {
    return this.to === "now" ? duration(this.refresh) : undefined;
  }

  // A variable, or one of Grafana's own; undefined where there is none.
  lookup(name) {
    const own = {
      __from: `${Math.round(this.start * 1000)}`,
      __to: `${Math.round(this.end * 1000)}`,
      __range: promDuration(Math.round(this.seconds)),
      __range_s: `${Math.round(this.seconds)}`,
      __range_ms: `${Math.round(this.seconds * 1000)}`,
    };
    return own[name] ?? this.variables.find((variable) => variable.name === name);
  }

  // The same, in a query that is evaluated every `step` seconds.
  lookupAt(step) {
    const own = {
      __interval: promDuration(step),
      __interval_ms: `${Math.round(step * 1000)}`,
      __rate_interval: promDuration(Math.max(step + this.scrape, 4 * this.scrape)),
    };
    return (name) => own[name] ?? this.lookup(name);
  }

  // The part of an address that another board is to have too.
  kept({ time = true, variables = true } = {}) {
    const parameters = new URLSearchParams();
    if (time) {
      parameters.set("from", this.from);
      parameters.set("to", this.to);
    }
    if (variables) {
      for (const { name, values } of this.variables) for (const value of values) parameters.append(`var-${name}`, value);
    }
    return parameters;
  }
}

// Another address of the same board; `null` takes a parameter away.
export function changeAddress(changes) {
  const parameters = new URLSearchParams(location.search);
  for (const [name, values] of Object.entries(changes)) {
    parameters.delete(name);
    for (const value of [values].flat()) if (value !== null) parameters.append(name, value);
  }
  history.pushState(null, "", `?${parameters}`);
  window.dispatchEvent(new Event("address"));
}
