// What is seen of the graph, and its DOT text, by the rules of detail.py and dot.py for whatever is open.
//
// An item is a group or a box, known by its number: item.parent is the group around it (-1 at the top), item.dot the
// statement of its node, item.cluster the attributes of an open group's frame. A closed group is drawn as one node. What
// is drawn follows from three things: which groups are open, where one stands (the current step), and which part is shown.
"use strict";

const $ = id => document.getElementById(id);
const data = JSON.parse($("data").textContent);
const { items } = data;
const LIMIT = data.limit; // boxes laid out at once

const open = new Set(data.open);
let stands = [];           // item → the box that stands for it
let boxes = [];            // the boxes that stand for everything now, as close() orders them
let order = [];            // the same in the order in which one steps through them
let start = 0;             // the first of these that is drawn, where they are more than LIMIT

// The box that stands for an item: the outermost closed group around it, or else itself.
function standing(item) {
  let found = item;
  for (let group = items[item].parent; group >= 0; group = items[group].parent)
    if (!open.has(group)) found = group;
  return found;
}

const isGroup = item => items[item].cluster !== undefined;
const within = (item, group) => item >= 0 && (item === group || within(items[item].parent, group));
const columnOf = item => items[item].column ?? null;
const rowOf = item => { // an ellipsis lies in the row of what it continues
  const { after, row } = items[item];
  return after === undefined ? row : items[stands[after]].row;
};

// Who stands for every item, and the boxes that are seen.
function settle() {
  stands = items.map((_, item) => standing(item));
  const ellipses = new Map(), seen = new Set();
  items.forEach(({ kind, after }, item) => {
    if (isGroup(item)) return;
    if (after !== undefined) { // several in one place are one
      const spot = `${rowOf(item)} ${columnOf(item)}`;
      if (!ellipses.has(spot)) ellipses.set(spot, item);
      stands[item] = ellipses.get(spot);
    }
    const box = stands[item];
    if (isGroup(box) && kind !== "parameter" && kind !== "constant") seen.delete(box); // as late as its last box
    seen.add(box);
  });
  boxes = [...seen];
  order = [...boxes].sort((a, b) => items[a].seq - items[b].seq || a - b);
  start = Math.max(0, Math.min(start, order.length - LIMIT));
}

// The edges between the drawn boxes: into a closed group the same value goes once; inner edges are dropped.
function lifted(drawn) {
  const found = new Map(), leaving = new Map(), value = ([from, , , output]) => `${from} ${output}`;
  data.edges.forEach((edge, number) => {
    const [from, to, slot, output, look, word, , shape] = edge, norm = edge[8] === null ? null : Number(edge[8]);
    const [tail, head] = [stands[from], stands[to]];
    let [kind, lag, ...texts] = data.looks[look];
    if ((tail === head && !lag) || !drawn.has(tail) || !drawn.has(head)) return;
    const closed = tail !== from || head !== to, box = items[tail];
    if (closed && kind === "state" && !lag && !box.step && !["state", "more"].includes(box.kind)) // from what is no single time step
      [kind, , ...texts] = data.looks[0];
    const key = closed ? [from, output, tail, head, kind, lag, head === to ? slot : ""].join() : number, same = found.get(key);
    if (same) {
      same.slot = Math.min(same.slot, slot);
      same.norm = same.norm === null ? norm : norm === null ? same.norm : Math.hypot(same.norm, norm);
    } else found.set(key, { number, edge, tail, head, slot, kind, texts, word, shape, norm });
    if (tail === from) return;
    if (!leaving.has(tail)) leaving.set(tail, new Map());
    if (!leaving.get(tail).has(value(edge))) leaving.get(tail).set(value(edge), edge);
  });
  for (const values of leaving.values()) { // several values are told apart by their names, or by numbers
    const sorted = [...values].sort(([, a], [, b]) => a[0] - b[0] || (a[3] ?? 0) - (b[3] ?? 0));
    sorted.forEach(([key, edge], index) => values.set(key, sorted.length > 1 ? data.words[edge[6]] || `${index + 1}` : ""));
  }
  return [...found.values()].map(e => ({ ...e, word: leaving.get(e.tail)?.get(value(e.edge)) ?? data.words[e.word] }));
}

// --- DOT -------------------------------------------------------------------------------------------------------------

const nameOf = item => `"n${item}"`; // names are numbers, so that nobody's text can break them
const hidden = text => `${text} ${data.hidden}`;
const chain = names => names.length > 1 ? [`${names.join(" -> ")} [style=invis weight=1]`] : [];

// The DOT text of what is seen now.
function assemble() {
  const drawn = new Set(order.slice(start, start + LIMIT)), seen = boxes.filter(box => drawn.has(box));
  const edges = lifted(drawn), places = data.columns ? rankAndPart(seen, edges) : null;
  const statements = places ? inColumns(places) : clusters(seen);
  const haste = data.haste.filter(([many]) => seen.length > many).map(([, limits]) => limits);
  const climbs = places && edges.some(({ kind, tail, head }) =>
    kind === "state" && Math.abs(places.rank.get(head) - places.rank.get(tail)) > 2);
  if (climbs) haste.push("splines=line"); // curves around whole columns cannot be followed
  return ["digraph {", data.head, ...haste, ...statements, ...arrows(edges, places), "}"].join("\n");
}

// The statements of boxes in the nested frames of their groups; `part` tells those of one group apart.
function clusters(inside, part = "") {
  const children = new Map();
  for (const box of inside) {
    for (let item = box; item >= 0; item = items[item].parent) {
      const around = items[item].parent;
      if (!children.has(around)) children.set(around, new Set());
      children.get(around).add(item);
    }
  }
  const write = around => [...(children.get(around) ?? [])].flatMap(item => children.has(item)
    ? [`subgraph "cluster n${item}${part}" { ${items[item].cluster}`, ...write(item), "}"]
    : [items[item].dot]);
  return write(-1);
}

// An unfolded view: a cluster for every column, and for what stands beside them. Under them a rail of headings, chained
// from left to right, each tied to its cluster; hidden points hold the ranks.
function inColumns({ rank, lowest, parts }) {
  const rail = lowest - 1, top = Math.max(0, ...rank.values()), ranks = new Map(), lines = [];
  const roof = Math.max(0, ...[...rank].filter(([box]) => columnOf(box) !== null).map(([, r]) => r));
  for (let r = rail; r <= top; r++) ranks.set(r, [`"rank ${r}"`]);
  const points = [...ranks.values()].map(([point]) => point);
  lines.push(...points.map(hidden), ...chain(points));
  for (const [part, inside] of parts) {
    const heading = data.columns[part], found = new Map([...inside].reverse().map(box => [rank.get(box), nameOf(box)]));
    const inOrder = [...found.keys()].sort((a, b) => a - b), foot = [`"part ${part}"`, found.get(inOrder[0])];
    let head = [];
    lines.push(`subgraph "cluster ${part}" { ${heading === undefined ? data.beside : data.column}`);
    lines.push(...clusters(inside, ` ${part}`));
    for (const box of inside) ranks.get(rank.get(box)).push(nameOf(box));
    for (const r of new Set([lowest, roof])) { // no column lies above another
      if (heading === undefined || found.has(r)) continue;
      const point = `"column ${part} rank ${r}"`;
      lines.push(hidden(point));
      ranks.get(r).push(point);
      if (r < inOrder[0]) foot.splice(1, 0, point); else head = [found.get(inOrder.at(-1)), point];
    }
    lines.push("}", heading ? `${foot[0]} ${heading}` : hidden(foot[0]));
    lines.push([...new Set([...foot, ...head])].map(id => `${id} [group="${part}"]`).join(" "), ...chain(foot), ...chain(head));
    ranks.get(rail).push(foot[0]);
  }
  lines.push(...chain(ranks.get(rail)));
  return [...lines, ...[...ranks.values()].map(names => `{rank=same; ${names.join(" ")}}`)];
}

// All edges; each value's shape is told once, where it leaves its box, and a gradient of known norm flows back.
function arrows(edges, places) {
  const told = new Set(), lines = [];
  for (const { number, edge, tail, head, kind, texts, word, shape, norm } of edges) {
    const climb = places ? places.rank.get(head) - places.rank.get(tail) : 0, flip = climb < 0;
    const ranked = places ? climb !== 0 && places.part.get(tail) === places.part.get(head) : kind !== "state";
    let said = data.computed.includes(items[tail].kind) ? data.words[shape] : "";
    if (places || told.has(`${tail} ${said}`)) said = "";
    told.add(`${tail} ${said}`);
    const late = data.looks[edge[4]][1] > 1 ? `${data.looks[edge[4]][1]}\u00a0steps\u00a0later` : "";
    const words = [word, said, late].filter(Boolean).join("\u00a0"), last = ` ${ranked ? "" : "constraint=false "}id=e${number}`;
    const ends = flip ? `${nameOf(head)} -> ${nameOf(tail)}` : `${nameOf(tail)} -> ${nameOf(head)}`;
    const label = words && ` ${ranked ? "" : "x"}label=<${data.small.join(words)}>`;
    lines.push(`${ends} [${texts[Number(flip)]}${label}${last}]`);
    if (norm === null || kind === "parameter") continue; // a weight's box tells its gradient
    const back = `color="${data.gradient}" penwidth=${width(norm)}${norm ? "" : " style=dotted"}${flip ? "" : " dir=back"}`;
    const size = `${flip ? "head" : "tail"}label=<${data.norm.join(digits(norm))}> labelangle=50 labeldistance=2.4`;
    lines.push(`${ends} [${back} ${size}${last} class=gradient]`);
  }
  return lines;
}

// How wide in points a gradient is drawn: by its decades below the largest one.
function width(norm) {
  const decades = Math.log10(norm) - Math.log10(data.largest), [widest, hairline] = data.widths;
  if (!Number.isFinite(norm)) return widest;
  return norm > 0 ? hairline + (widest - hairline) * Math.min(Math.max(1 + decades / data.decades, 0), 1) : hairline;
}

// A number to three digits, as Python's .3g has it.
function digits(number) {
  if (!Number.isFinite(number)) return Number.isNaN(number) ? "nan" : "inf";
  const [, front, sign, power] = /^(.*)e(.)(\d+)$/.exec(number.toExponential(2));
  if (sign === "-" ? power <= 4 : power < 3) return String(Number(number.toPrecision(3)));
  return `${Number(front)}e${sign === "-" ? "−" : "+"}${power.padStart(2, "0")}`;
}
