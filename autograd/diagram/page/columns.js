// Where the boxes of an unfolded view lie, by the rules of columns.py for whatever is open.
//
// A box is an item's number, an edge has tail, head, kind and slot. Rows, not boxes, are ranked, so that the same part
// of the program lies on one line at every time step.
const disjoint = (a, b) => ![...a].some(x => b.has(x));

// The rank of every box, the lowest of them, and the boxes of the parts from left to right.
function rankAndPart(boxes, edges) {
  const ranks = rankRows(boxes, edges), rank = new Map(), inputs = new Map(), outputs = new Map();
  const columns = [...new Set(boxes.map(columnOf).filter(column => column !== null))].sort((a, b) => a - b);
  const parts = new Map(["weights", "before", ...columns, "after"].map(part => [part, []]));
  for (const box of boxes) {
    inputs.set(box, []);
    outputs.set(box, []);
    if (columnOf(box) !== null) rank.set(box, ranks.get(rowOf(box)));
  }
  for (const edge of edges) {
    outputs.get(edge.tail).push(edge);
    inputs.get(edge.head).push(edge);
  }
  for (const box of boxes) {
    const earlier = inputs.get(box).map(e => rank.get(e.tail)).filter(r => r !== undefined);
    if (columnOf(box) !== null) parts.get(columnOf(box)).push(box);
    else if (earlier.length) {
      rank.set(box, 1 + Math.max(...earlier));
      parts.get("after").push(box);
    } else parts.get(items[box].kind === "parameter" ? "weights" : "before").push(box);
  }
  // What comes from another column: the initial state lies in line with the states.
  const role = edge => `${rowOf(edge.head)} ${edge.slot}`, roles = new Map();
  for (const e of edges)
    if (columnOf(e.tail) !== null && columnOf(e.head) !== null && columnOf(e.tail) !== columnOf(e.head)
      && !roles.has(role(e))) roles.set(role(e), rank.get(e.tail));
  for (const first of [...parts.get("weights"), ...parts.get("before")].reverse()) {
    const fed = outputs.get(first).filter(e => rank.has(e.head));
    const states = items[first].kind === "parameter" ? [] : outputs.get(first);
    const played = states.filter(e => roles.has(role(e))).map(e => roles.get(role(e)))
      .concat(states.filter(e => e.kind === "state" && rank.has(e.head)).map(e => rank.get(e.head)));
    rank.set(first, played[0] ?? (fed.length ? Math.min(...fed.map(e => rank.get(e.head))) : 1) - 1);
  }
  if (columns.length > 1) {
    const late = box => outputs.get(box).length && outputs.get(box).every(e => columnOf(e.head) === columns.at(-1));
    parts.get("after").push(...parts.get("before").filter(late));
    parts.set("before", parts.get("before").filter(box => !late(box)));
  }
  return {
    rank, lowest: Math.min(...rank.values()),
    parts: [...parts].filter(([part, found]) => found.length || columns.includes(part)),
    part: new Map([...parts].flatMap(([part, found]) => found.map(box => [box, part]))),
  };
}

// Each row one above the highest that feeds it in its own column; rows that hand a state sideways lie alone.
function rankRows(boxes, edges) {
  const columns = new Map(), given = new Set();
  for (const box of boxes) {
    if (columnOf(box) === null) continue;
    if (!columns.has(rowOf(box))) columns.set(rowOf(box), new Set());
    columns.get(rowOf(box)).add(columnOf(box));
    if (items[box].kind === "data") given.add(rowOf(box));
  }
  const inner = edges.filter(e => columns.has(rowOf(e.tail)) && columns.has(rowOf(e.head)));
  const sideways = new Set(inner.filter(e => rowOf(e.tail) === rowOf(e.head)).map(e => rowOf(e.tail)));
  const line = new Map([...columns.keys()].map(row => [row, row])); // a decoder's state goes on where the encoder's ended
  for (const { tail, head } of inner) {
    const a = line.get(rowOf(tail)), b = line.get(rowOf(head));
    if (columnOf(tail) === columnOf(head) || !sideways.has(a) || !sideways.has(b)) continue;
    if (!disjoint(columns.get(a), columns.get(b))) continue;
    for (const [row, on] of line) if (on === b) line.set(row, a);
    for (const column of columns.get(b)) columns.get(a).add(column);
    columns.delete(b);
  }
  const above = new Map([...columns.keys()].map(row => [row, new Set()]));
  for (const { tail, head } of inner) {
    const a = line.get(rowOf(tail)), b = line.get(rowOf(head));
    if (columnOf(tail) === columnOf(head) && a !== b) above.get(a).add(b);
  }
  const order = ordered(above), at = new Map(order.map((row, index) => [row, index]));
  const below = new Map(order.map(row => [row, []])), rank = new Map(), taken = new Map();
  const upward = row => [...above.get(row)].filter(higher => at.get(row) < at.get(higher));
  for (const row of order) for (const higher of upward(row)) below.get(higher).push(row);
  for (const row of order) {
    let r = 1 + Math.max(-1, ...below.get(row).map(lower => rank.get(lower)));
    if (sideways.has(row)) {
      while (taken.has(r) && !disjoint(taken.get(r), columns.get(row))) r++;
      taken.set(r, new Set([...(taken.get(r) ?? []), ...columns.get(row)]));
    }
    rank.set(row, r);
  }
  for (const row of [...order].reverse()) { // what has no input in its column lies just below its use, unless it is data
    const used = upward(row).map(higher => rank.get(higher));
    if (used.length && !below.get(row).length && !given.has(row) && !sideways.has(row))
      rank.set(row, Math.min(...used) - 1);
  }
  return new Map([...line].map(([row, on]) => [row, rank.get(on)]));
}

// The rows so that each comes before those that it feeds; where they feed one another, in their first order.
function ordered(above) {
  const waiting = new Map([...above.keys()].map(row => [row, 0])), order = new Set();
  for (const heads of above.values()) for (const head of heads) waiting.set(head, waiting.get(head) + 1);
  const ready = [...above.keys()].filter(row => !waiting.get(row)).reverse(), rest = [...above.keys()];
  while (order.size < above.size) {
    const row = ready.length ? ready.pop() : rest.find(one => !order.has(one));
    if (order.has(row)) continue;
    order.add(row);
    for (const head of above.get(row)) {
      waiting.set(head, waiting.get(head) - 1);
      if (!waiting.get(head)) ready.push(head);
    }
  }
  return [...order];
}
