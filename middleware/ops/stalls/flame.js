const ROW = 24;
const CHARACTER = 7.25; // px, of the 12 px monospace font

function flameTree(stall) {
  const root = { label: "all", samples: 0, children: new Map(), above: null };
  for (const { stack, count: samples } of stall.folded) {
    let node = root;
    root.samples += samples;
    for (const number of stack) {
      const frame = stall.frames[number];
      const key = `${frame.file}\n${nameOf(frame)}`;
      if (!node.children.has(key)) {
        const child = { frame, label: frame.function, samples: 0, lines: new Map() };
        node.children.set(key, { ...child, children: new Map(), above: node });
      }
      node = node.children.get(key);
      node.samples += samples;
      node.lines.set(frame.line, (node.lines.get(frame.line) || 0) + samples);
    }
  }
  return root;
}

// What every sample went through before it came to the application: the server, the framework.
function withoutWayIn(root) {
  let node = root;
  const left = [];
  while (node.children.size === 1) {
    const [child] = node.children.values();
    if (child.frame.application) return { root: { ...root, children: node.children }, left };
    left.push(child);
    node = child;
  }
  return { root, left: [] };
}

function ancestors(node) {
  const line = [];
  for (let each = node; each && each.frame; each = each.above) line.unshift(each);
  return line;
}

function placed(root, zoomed, width) {
  const boxes = [];
  const way = new Set(ancestors(zoomed));
  const place = (node, depth, x, size) => {
    if (size < 0.5) return;
    if (node.frame) boxes.push({ node, depth, x, size });
    const below = [...node.children.values()].sort((a, b) => b.samples - a.samples);
    const full = below.find((child) => way.has(child));
    let at = x;
    for (const child of full ? [full] : below) {
      const part = full ? size : (size * child.samples) / node.samples;
      place(child, depth + (node.frame ? 1 : 0), at, part);
      at += part;
    }
  };
  place(root, 0, 0, width);
  return boxes;
}

function lineOf(node) {
  return [...node.lines].sort((a, b) => b[1] - a[1])[0][0];
}

function flameGraph(stall) {
  const whole = flameTree(stall);
  const { root, left } = withoutWayIn(whole);
  const idle =
    `${count(whole.samples, "sample")} in ${inSeconds(stall.duration_seconds)}.` +
    " Point at a frame for its share; click to enlarge it.";
  const said = element("p", { class: "said", "aria-live": "polite" }, idle);
  const drawing = element("div", { class: "flame" });
  const shown = { root, zoomed: null, width: 0, focused: null };

  const describe = (node) => {
    const part = `${share(node.samples, whole.samples)} (${node.samples} of ${whole.samples})`;
    said.replaceChildren(
      element("strong", {}, part), ` ${nameOf(node.frame)} `,
      element("span", { class: "dim" }, `${node.frame.file}:${lineOf(node)}`)
    );
  };

  const box = ({ node, depth, x, size }) => {
    const fits = Math.floor((size - 8) / CHARACTER);
    const label = node.label.length > fits ? `${node.label.slice(0, fits - 1)}…` : node.label;
    const kind = node.frame.application ? "own" : "foreign";
    const title = `${nameOf(node.frame)}, ${share(node.samples, whole.samples)}`;
    const group = element(
      "g", { class: `frame ${kind}`, role: "button", tabindex: -1, "aria-label": title },
      element("rect", { x, y: depth * ROW, width: Math.max(0.5, size - 1), height: ROW - 2, rx: 3 }),
      fits > 2 ? element("text", { x: x + 5, y: depth * ROW + 15 }, label) : null
    );
    group.addEventListener("pointerenter", () => describe(node));
    group.addEventListener("focus", () => describe(node));
    group.addEventListener("click", () => zoom(node));
    group.addEventListener("keydown", (event) => walk(event, node));
    return group;
  };

  let groups = new Map();
  const draw = () => {
    const width = (shown.width = drawing.clientWidth);
    if (!width) return;
    const boxes = placed(shown.root, shown.zoomed, width);
    const height = ROW * (1 + Math.max(0, ...boxes.map((each) => each.depth)));
    groups = new Map(boxes.map((each) => [each.node, box(each)]));
    const label = `Flame graph of ${count(whole.samples, "sample")}; arrow keys go through it`;
    drawing.replaceChildren(
      element("svg", { width, height, role: "group", "aria-label": label }, ...groups.values())
    );
    const first = groups.get(shown.focused) || [...groups.values()][0];
    if (first) first.setAttribute("tabindex", 0);
  };

  const zoom = (node) => {
    shown.zoomed = shown.zoomed === node ? null : node;
    shown.focused = node;
    draw();
    groups.get(node)?.focus();
  };

  const walk = (event, node) => {
    const beside = node.above ? [...node.above.children.values()] : [];
    beside.sort((a, b) => b.samples - a.samples);
    const place = beside.indexOf(node);
    const most = [...node.children.values()].sort((a, b) => b.samples - a.samples)[0];
    const next = {
      ArrowDown: most, ArrowUp: node.above,
      ArrowRight: beside[place + 1], ArrowLeft: beside[place - 1],
    }[event.key];
    if (event.key === "Enter" || event.key === " ") zoom(node);
    else if (groups.has(next)) groups.get(next).focus();
    else return;
    event.preventDefault();
  };

  const wayIn = left.length
    ? element("button", { type: "button", class: "quiet" }, `Show the ${count(left.length, "frame")} above`)
    : null;
  wayIn?.addEventListener("click", () => {
    shown.root = whole;
    wayIn.remove();
    draw();
  });
  drawing.addEventListener("pointerleave", () => said.replaceChildren(idle));
  new ResizeObserver(() => drawing.clientWidth !== shown.width && draw()).observe(drawing);
  return element("div", {}, drawing, said, wayIn);
}
