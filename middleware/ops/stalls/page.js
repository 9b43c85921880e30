const $ = (id) => document.getElementById(id);
const EVERY_MS = 1000;
const SILENT_AFTER_MS = 3000;

let listing = JSON.parse($("listing").textContent);
let answeredAt = performance.now();
let unansweredSince = null;
const entries = new Map();

const sinceAnswer = () => (performance.now() - answeredAt) / 1000;
const isSilent = () =>
  unansweredSince !== null && performance.now() - unansweredSince > SILENT_AFTER_MS;
// By the server's clock, which stands still when nobody knows whether anything goes on there.
const now = () => listing.now + (isSilent() ? 0 : sinceAnswer());
const startOf = (stall) => Date.parse(stall.started_at) / 1000;
const running = (stall) => Math.max(stall.duration_seconds, now() - startOf(stall));

function summaryOf(stall) {
  const { culprit, victims_count: victims } = stall;
  const who = culprit
    ? [
        element("span", { class: "culprit" }, nameOf(culprit)),
        element("span", { class: "place" }, placeOf(culprit)),
        culprit.source_line ? element("code", {}, culprit.source_line) : null,
      ]
    : [element("span", { class: "nobody" }, stall.explanation)];
  return [
    element("span", { class: "head" }, element("span", { class: "long" }), cause(stall), element("time", { datetime: stall.started_at, title: stall.started_at })),
    element("span", { class: "who" }, ...who.filter(Boolean)),
    element(
      "span", { class: "whom" },
      culprit ? element("span", { class: "route" }, stall.route) : "",
      element("span", { class: "victims" }, victims ? `${count(victims, "request")} waited` : "nobody else waited")
    ),
  ];
}

class Entry {
  constructor(stall) {
    this.summary = element("summary");
    this.body = element("div", { class: "body" });
    this.node = element("details", { class: "stall", "data-id": stall.id }, this.summary, this.body);
    this.node.addEventListener("toggle", () => this.node.open && this.load());
  }

  take(stall) {
    const text = JSON.stringify(stall);
    if (text === this.text) return;
    this.stall = stall;
    this.text = text;
    this.node.className = `stall ${stall.phase} ${stall.cause}`;
    this.summary.replaceChildren(...summaryOf(stall).filter(Boolean));
    this.tick();
    if (this.node.open) this.load();
  }

  tick() {
    const ongoing = this.stall.phase === "ongoing";
    const long = inSeconds(ongoing ? running(this.stall) : this.stall.duration_seconds);
    const began = new Date(this.stall.started_at);
    this.summary.querySelector(".long").textContent = ongoing ? `${long} …` : long;
    this.summary.querySelector("time").textContent =
      `${clock(began)} · ${ago(now() - startOf(this.stall))}`;
  }

  async load() {
    if (this.loaded === this.text) return;
    const wanted = this.text;
    if (!this.loaded) this.body.replaceChildren(element("p", { class: "explanation" }, this.stall.explanation));
    try {
      const answer = await fetch(`stalls/${encodeURIComponent(this.stall.id)}.json`);
      if (!answer.ok) throw new Error(answer.statusText);
      const stall = await answer.json();
      if (wanted !== this.text) return;
      this.body.replaceChildren(...detailsOf(stall));
      this.loaded = wanted;
    } catch {
      if (this.loaded) return;
      const words = "The rest could not be fetched. Close and open it to try again.";
      this.body.append(element("p", { class: "dim" }, words));
    }
  }
}

function showEntries() {
  const stalls = [...listing.stalls].sort((a, b) => (b.phase === "ongoing") - (a.phase === "ongoing"));
  const ids = new Set(stalls.map((stall) => stall.id));
  for (const [id, entry] of entries) {
    if (ids.has(id) || entry.node.open) continue; // nobody's reading is cut short
    entry.node.remove();
    entries.delete(id);
  }
  stalls.forEach((stall, place) => {
    if (!entries.has(stall.id)) entries.set(stall.id, new Entry(stall));
    const { node } = entries.get(stall.id);
    entries.get(stall.id).take(stall);
    const there = $("stalls").children[place];
    if (there !== node) $("stalls").insertBefore(node, there || null);
  });
}

function showEmpty() {
  const empty = !entries.size;
  $("empty").hidden = !empty;
  if (!empty || $("empty").dataset.mode === listing.mode) return;
  $("empty").dataset.mode = listing.mode;
  const words =
    listing.mode === "off"
      ? ["Nobody looks for stalls", "So nobody knows whether there are any."]
      : ["No stall yet: all is well", "When something blocks the event loop, it stands here while it still does: the line of code, for how long, why, whose request, and who had to wait."];
  $("empty").replaceChildren(element("h2", {}, words[0]), element("p", {}, words[1]));
}

function showStatus() {
  const ongoing = listing.stalls.find((stall) => stall.phase === "ongoing");
  const since = new Date(Date.now() - sinceAnswer() * 1000);
  let [kind, words] = ["well", "The loop runs"];
  if (listing.mode === "off") [kind, words] = ["off", "Switched off"];
  if (ongoing) [kind, words] = ["blocked", `Blocked for ${inSeconds(running(ongoing))}`];
  if (isSilent()) [kind, words] = ["silent", `No answer since ${clock(since)}`];
  $("status").className = `status ${kind}`;
  if ($("status").textContent !== words) $("status").textContent = words;
  $("notice").hidden = !isSilent();
  const notice = "This is the last that is known. The process is gone, or something holds its GIL.";
  if (isSilent() && $("notice").textContent !== notice) $("notice").textContent = notice;
  document.title = `${kind === "well" ? "" : `${words} · `}Stalls`;
}

function showHead() {
  const total = listing.mode === "off" ? "" : `${count(listing.total, "stall")} since the start. `;
  const words = total + (MODES[listing.mode] ?? `Mode: ${listing.mode}.`);
  if ($("mode").textContent !== words) $("mode").textContent = words;
  const limits = JSON.stringify(listing.limits);
  if ($("limits").dataset.shown === limits) return;
  $("limits").dataset.shown = limits;
  $("limits").replaceChildren(...listing.limits.map((limit) => element("li", {}, limit)));
}

function showStrips() {
  $("strips").hidden = listing.mode === "off";
  const { moments } = listing.loop;
  const last = moments[moments.length - 1];
  $("delay").replaceChildren(delayStrip(moments, listing.stalls, now(), running));
  $("utilization").replaceChildren(utilizationStrip(moments, now()));
  $("delay-now").textContent = last ? inSeconds(last.longest_delay_seconds) : "–";
  $("utilization-now").textContent = last ? `${Math.round(last.utilization_ratio * 100)} %` : "–";
}

function show() {
  showHead();
  showEntries();
  showEmpty();
  showStatus();
  showStrips();
}

function reveal() {
  const id = decodeURIComponent(location.hash.slice(1));
  const entry = entries.get(id);
  if (entry) {
    entry.node.open = true;
    entry.node.scrollIntoView({ block: "start" });
  }
}

async function refresh() {
  unansweredSince ??= performance.now();
  try {
    const answer = await fetch("stalls.json?brief", { signal: AbortSignal.timeout(10000) });
    if (!answer.ok) throw new Error(answer.statusText);
    listing = await answer.json();
    answeredAt = performance.now();
    unansweredSince = null;
    show();
  } catch {
    // showStatus says since when nobody answers.
  }
}

async function refreshForEver() {
  for (;;) {
    await new Promise((done) => setTimeout(done, EVERY_MS));
    if (!document.hidden) await refresh();
  }
}

show();
reveal();
addEventListener("hashchange", reveal);
document.addEventListener("visibilitychange", () => document.hidden || refresh());
setInterval(() => {
  showStatus();
  for (const entry of entries.values()) entry.tick();
}, 200);
refreshForEver();
