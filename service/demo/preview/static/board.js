// One board: laid out as its JSON says, asked and drawn, and again whenever the address or time says so.

import { annotationsOf } from "./annotations.js";
import { element } from "./dom.js";
import { fillHeader } from "./header.js";
import { Frame } from "./panels/frame.js";
import { PrometheusError, scrapeSeconds } from "./prometheus.js";
import { resolve, variablesOf } from "./variables.js";
import { View } from "./view.js";

const place = document.getElementById("board");

class Board {
  constructor(board, others) {
    this.board = board;
    this.others = others;
    this.header = element("header", { className: "top" });
    this.banner = element("p", { className: "banner", role: "alert", hidden: true });
    const sections = sectionsOf(board.panels);
    this.frames = sections.flatMap(({ frames }) => frames);
    place.replaceChildren(this.header, this.banner, ...sections.map(drawn));
    this.running = new AbortController();
    this.variables = [];
  }

  // What was begun before is given up.
  async refresh() {
    this.running.abort();
    this.running = new AbortController();
    const { signal } = this.running;
    clearTimeout(this.timer);
    place.ariaBusy = "true";
    const { view, annotations, trouble } = await this.prepare(signal);
    if (signal.aborted) return;
    const troubles = trouble?.concernsAll
      ? this.frames.map((frame) => frame.fail(trouble))
      : await Promise.all(this.frames.map((frame) => frame.refresh(view, annotations, signal)));
    if (signal.aborted) return;
    this.complain([trouble, ...troubles].find(Boolean));
    place.dataset.state = "ready";
    place.ariaBusy = "false";
    this.plan(view);
  }

  // Variables first: queries stand on them.
  async prepare(signal) {
    const variables = variablesOf(this.board, this.variables);
    this.variables = variables;
    let view = new View(this.board, variables);
    fillHeader(this.header, this.board, this.others, view);
    try {
      const scrape = await scrapeSeconds(view.end, signal);
      view = new View(this.board, variables, { scrape });
      const [annotations] = await Promise.all([annotationsOf(this.board, view, signal), resolve(view, signal)]);
      if (!signal.aborted) fillHeader(this.header, this.board, this.others, view);
      return { view, annotations };
    } catch (trouble) {
      if (!(trouble instanceof PrometheusError) && !signal.aborted) throw trouble;
      return { view, annotations: [], trouble };
    }
  }

  complain(trouble) {
    this.banner.hidden = !trouble;
    this.banner.textContent = trouble?.message ?? "";
  }

  plan(view) {
    const seconds = view.refreshSeconds;
    if (!seconds) return;
    this.timer = setTimeout(() => (document.hidden ? this.plan(view) : this.refresh()), seconds * 1000);
  }
}

// Panels stand below the row before them; those before any row have none.
function sectionsOf(panels) {
  const sections = [{ frames: [], top: 0 }];
  for (const panel of panels) {
    if (panel.type !== "row") {
      const { frames, top } = sections.at(-1);
      frames.push(new Frame(panel, top));
      continue;
    }
    const inside = panel.panels ?? [];
    const top = panel.gridPos.y + 1;
    sections.push({ title: panel.title, collapsed: panel.collapsed, top, frames: inside.map((each) => new Frame(each, top)) });
  }
  return sections.filter(({ title, frames }) => title !== undefined || frames.length);
}

function drawn({ title, collapsed, frames }) {
  const grid = element("div", { className: "grid" }, ...frames.map(({ root }) => root));
  if (title === undefined) return grid;
  return element("details", { className: "row", open: !collapsed }, element("summary", {}, element("h2", {}, title)), grid);
}

async function fetchJson(path) {
  const response = await fetch(path);
  if (!response.ok) throw new Error(`${path}: ${response.status}`);
  return response.json();
}

function closeMenus(event) {
  for (const menu of document.querySelectorAll("details.variable[open]")) {
    if (event.key === "Escape" || (event.type === "click" && !menu.contains(event.target))) menu.open = false;
  }
}

const [model, others] = await Promise.all([
  fetchJson(`/boards/${encodeURIComponent(place.dataset.uid)}.json`), fetchJson("/boards.json"),
]);
const board = new Board(model, others);
for (const event of ["address", "popstate"]) window.addEventListener(event, () => board.refresh());
for (const event of ["click", "keydown"]) document.addEventListener(event, closeMenus);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => board.refresh());
await board.refresh();
