const section = (title, ...children) =>
  element("section", {}, element("h3", {}, title), ...children);

function timeBar(stall) {
  const parts = [
    ["on CPU", "on-cpu", stall.on_cpu_seconds],
    ["ready, but no CPU", "queued", stall.run_queue_seconds],
    ["waiting", "off-cpu", stall.off_cpu_seconds],
  ].filter(([, , seconds]) => seconds > 0);
  if (!parts.length) return null;
  const total = parts.reduce((sum, [, , seconds]) => sum + seconds, 0);
  const bar = element("div", { class: "bar", "aria-hidden": "true" });
  const legend = element("ul", { class: "legend" });
  for (const [name, kind, seconds] of parts) {
    const piece = element("span", { class: kind });
    piece.style.flexGrow = (100 * seconds) / total;
    bar.append(piece);
    legend.append(element("li", { class: kind }, `${name} `, element("b", {}, inSeconds(seconds))));
  }
  return element("div", {}, bar, legend);
}

function frameRow(frame, innermost) {
  const kind = `${frame.application ? "own" : "foreign"}${innermost ? " innermost" : ""}`;
  return element(
    "li", { class: kind },
    element("div", { class: "name" }, nameOf(frame)),
    element("div", { class: "place" }, placeOf(frame)),
    frame.source_line ? element("code", {}, frame.source_line) : null
  );
}

// Innermost first, for that is where it hangs; libraries' frames in a row are folded up.
function stackList(stall) {
  const frames = [...stall.stack].reverse();
  const list = element("ol", { class: "stack" });
  for (let at = 0; at < frames.length; ) {
    let end = at;
    while (at > 0 && end < frames.length && !frames[end].application) end += 1;
    if (end - at > 2) {
      const rows = frames.slice(at, end);
      const packages = [...new Set(rows.map((frame) => frame.module.split(".")[0]))].join(", ");
      const title = element("summary", {}, `${rows.length} frames of ${packages}`);
      const inner = element("ol", {}, ...rows.map((frame) => frameRow(frame, false)));
      list.append(element("li", { class: "folded" }, element("details", {}, title, inner)));
      at = end;
    } else {
      list.append(frameRow(frames[at], at === 0));
      at += 1;
    }
  }
  return list;
}

function victimTable(stall) {
  if (!stall.victims_count) return element("p", { class: "dim" }, "Nobody else had a request in flight.");
  const cells = (victim) => [
    ["Route", victim.route], ["Lost", inSeconds(victim.lost_seconds)],
    ["Request id", victim.request_id], ["Trace id", victim.trace_id],
  ];
  const head = cells({}).map(([name]) => element("th", { scope: "col" }, name));
  const rows = stall.victims.map((victim) =>
    element("tr", {}, ...cells(victim).map(([name, fact]) => element("td", { "data-name": name }, fact || "–")))
  );
  const more = stall.victims_count - stall.victims.length;
  return element(
    "div", {},
    element("table", { class: "victims" }, element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...rows)),
    more > 0 ? element("p", { class: "dim" }, `and ${more} more`) : null
  );
}

function evidenceList(stall) {
  const finished = { true: "had its response already", false: "was being answered" };
  const facts = [
    ["Route", stall.route],
    ["Request id", stall.request_id],
    ["Trace id", stall.trace_id],
    ["The request", finished[stall.culprit_finished]],
    ["Thread", stall.thread],
    ["GIL", stall.gil_held ? "held" : "not held"],
    ["System call", stall.system_call],
    ["CPU time", inSeconds(stall.on_cpu_seconds)],
    ["Ready, but no CPU", inSeconds(stall.run_queue_seconds)],
    ["Waiting", inSeconds(stall.off_cpu_seconds)],
    ["Garbage collection", inSeconds(stall.gc_seconds)],
    ["Throttled", inSeconds(stall.throttled_seconds)],
    ["Samples", stall.samples],
    ["Seen by", WITNESSES[stall.evidence] || stall.evidence],
    ["Began", stall.started_at],
    ["Process", stall.pid],
  ];
  const known = facts.filter(([, fact]) => fact !== null && fact !== undefined && fact !== "–");
  return element(
    "dl", {},
    ...known.map(([name, fact]) =>
      element("div", {}, element("dt", {}, name), element("dd", {}, String(fact)))
    )
  );
}

function linkRow(stall) {
  const file = (ending, words) =>
    element("a", { href: `stalls/${encodeURIComponent(stall.id)}${ending}` }, words);
  const outside = (url, words) =>
    url ? element("a", { href: url, target: "_blank", rel: "noreferrer", class: "go" }, words) : null;
  return element(
    "nav", { class: "links", "aria-label": "More about this stall" },
    outside(stall.links.trace, "Trace ↗"),
    outside(stall.links.logs, "Logs ↗"),
    element("a", { href: `#${stall.id}` }, "Link to this"),
    file(".speedscope.json", "speedscope"),
    file(".folded", "folded stacks"),
    file(".json", "JSON")
  );
}

function detailsOf(stall) {
  return [
    element("p", { class: "explanation" }, stall.explanation),
    element("p", { class: "remedy" }, element("b", {}, "What helps: "), stall.remedy),
    timeBar(stall),
    linkRow(stall),
    stall.folded.length ? section("Where it spent the time", flameGraph(stall)) : null,
    stall.stack.length ? section("Stack, innermost first", stackList(stall)) : null,
    section(`Who waited: ${count(stall.victims_count, "request")}`, victimTable(stall)),
    section("Evidence", evidenceList(stall)),
  ].filter(Boolean);
}
