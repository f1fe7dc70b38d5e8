// Walking through the drawing that draw.js makes: looking, opening and closing, stepping, searching.

// --- where one looks: (x, y) is the upper left corner in the drawing's units, k how many of them make a pixel --------

const view = { x: 0, y: 0, k: 1, left: 0, top: 0, width: 1, height: 1 };

const LEAST = 1.45; // units a pixel, at which text can just be read

function look() {
  const width = stage.clientWidth * view.k, height = stage.clientHeight * view.k;
  stage.firstElementChild?.setAttribute("viewBox", `${view.x} ${view.y} ${width} ${height}`);
  const slack = 12 * view.k; // an arrow at each side beyond which there is more
  $("leftward").hidden = view.left > view.x - slack;
  $("upward").hidden = view.top > view.y - slack;
  $("rightward").hidden = view.left + view.width < view.x + width + slack;
  $("downward").hidden = view.top + view.height < view.y + height + slack;
}

function pan(dx, dy) {
  view.x += dx * view.k;
  view.y += dy * view.k;
  look();
}

// Zoom by a factor; the point (px, py) of the stage stays where it is.
function zoom(factor, px = stage.clientWidth / 2, py = stage.clientHeight / 2) {
  const k = Math.min(Math.max(view.k / factor, 0.05), 50);
  view.x += px * (view.k - k);
  view.y += py * (view.k - k);
  view.k = k;
  look();
}

const whole = () => Math.max(view.width / stage.clientWidth, view.height / stage.clientHeight, 0.7) * 1.02;

// Show everything; or where that could not be read, `always` aside, the beginning: the upper left, or the first column.
function show(always = false) {
  const first = data.columns ? startOfTime() : view.left; // before the scale changes
  const k = view.k = always || whole() <= LEAST ? whole() : LEAST / 1.25;
  const middle = (from, size, seen) => from + (size - seen * k) / 2;
  const [width, height] = [stage.clientWidth, stage.clientHeight];
  const wide = view.width > width * k, tall = view.height > height * k;
  view.x = wide ? Math.min(Math.max(first - width * k / 3, view.left), view.left + view.width - width * k)
    : middle(view.left, view.width, width);
  view.y = tall ? (data.columns ? view.top + view.height - height * k : view.top) : middle(view.top, view.height, height);
  look();
}

// Where the first column begins, in the drawing's units.
function startOfTime() {
  const first = Math.min(...Object.keys(data.columns).map(Number)), own = stage.getBoundingClientRect();
  const edges = [...nodes].filter(([item]) => columnOf(item) === first)
    .map(([, element]) => view.x + (element.getBoundingClientRect().left - own.left) * view.k);
  return Math.min(...edges);
}

// Where an item is on the stage: its middle, a module's upper edge, which stays where it is when that opens or closes.
function centre(item) {
  const element = nodes.get(item);
  if (!element) return null;
  const box = element.getBoundingClientRect(), own = stage.getBoundingClientRect();
  return { x: box.left + box.width / 2 - own.left, y: box.top + (isGroup(item) ? 0 : box.height / 2) - own.top };
}

// Bring an item into sight, no further than needed; `always` puts it into the middle, large enough to read.
function reveal(item, always = false) {
  const at = centre(item), { clientWidth: width, clientHeight: height } = stage;
  if (!at) return;
  if (always && view.k > 1) zoom(view.k, at.x, at.y);
  const margin = always ? 0.5 : 0.15, beyond = (x, size) => x - Math.min(Math.max(x, margin * size), (1 - margin) * size);
  pan(beyond(at.x, width), beyond(at.y, height));
}

// --- opening and closing, stepping, searching -----------------------------------------------------------------------

async function toggle(item) {
  if (open.has(item)) open.delete(item); else open.add(item);
  await draw(item);
}

async function setAll(groups) {
  open.clear();
  for (const group of groups) open.add(group);
  await draw();
}

// Draw the part in which an item stands, opening what is closed around it.
async function uncover(item) {
  for (let group = items[item].parent; group >= 0; group = items[group].parent) open.add(group);
  settle();
  const index = order.findIndex(box => within(box, item));
  if (index < start || index >= start + LIMIT) start = index - (LIMIT >> 1);
  if (stands[item] !== item || !nodes.has(item)) await draw();
}

// The place in the order of computation: 0 before the first step, 1 at the first ...
function place() {
  const index = order.findIndex(item => within(item, current) || (current >= 0 && within(current, item)));
  return index < 0 ? 0 : backward ? order.length - index : index + 1;
}

async function step(to) {
  const position = Math.max(0, Math.min(to, order.length));
  current = position === 0 ? -1 : order[backward ? order.length - position : position - 1];
  if (current >= 0 && !nodes.has(current)) await uncover(current);
  mark();
  if (current >= 0) reveal(current);
}

function play(on = !player) {
  clearInterval(player);
  player = on ? setInterval(() => place() < order.length ? step(place() + 1) : play(false), 700) : 0;
  if (on) step(place() < order.length ? place() + 1 : 1);
  $("play").setAttribute("aria-pressed", String(on));
}

function find() {
  const words = search.value.trim().toLowerCase();
  matches = [];
  match = -1;
  if (words) items.forEach((item, index) => { if (item.text.includes(words)) matches.push(index); });
  matches.sort((a, b) => items[a].seq - items[b].seq || a - b);
  mark();
}

async function go(by) {
  if (!matches.length) return;
  match = match < 0 ? (by > 0 ? 0 : matches.length - 1) : (match + by + matches.length) % matches.length;
  await uncover(matches[match]);
  choose(matches[match]);
  reveal(chosen, true);
}

function choose(item) {
  chosen = item;
  mark();
  describe(item);
}

// --- what is marked, and words about it ------------------------------------------------------------------------------

function mark() {
  const now = place();
  const reached = new Map(order.map((item, index) => [item, backward ? order.length - index : index + 1]));
  const found = new Set(matches.flatMap(item => [item, standing(item)]));
  stage.classList.toggle("stepping", now > 0);
  document.body.classList.toggle("backward", backward);
  const here = now > 0 ? order[backward ? order.length - now : now - 1] : -1;
  for (const [item, element] of nodes) {
    element.classList.toggle("now", item === here);
    element.classList.toggle("todo", reached.get(item) > now);
    element.classList.toggle("match", found.has(item));
    element.classList.toggle("chosen", item === chosen);
  }
  for (const [element, tail, head] of wires) {
    // what it is computed from, or where its gradient comes from
    element.classList.toggle("now", here === (backward ? tail : head) && (backward || !element.matches(".gradient")));
    element.classList.toggle("todo", Math.max(reached.get(tail), reached.get(head)) > now);
  }
  slider.max = order.length;
  slider.value = now;
  $("back").disabled = now === 0;
  $("ahead").disabled = now === order.length;
  $("found").textContent = !search.value.trim() ? "" :
    match < 0 ? `${matches.length} found` : `${match + 1} of ${matches.length}`;
  $("previous").disabled = $("next").disabled = !matches.length;
  const words = here < 0 ? [] : backward ? ["gradient"] : ["computes", "shape"];
  const said = here < 0 ? [`${order.length} steps ${backward ? "back, from the last box to the first" : "forward"}`] :
    [`${now} of ${order.length}: `, make("b", items[here].label),
      ...words.map(word => items[here].card[word]).filter(Boolean).map(fact => ` · ${fact}`)];
  $("step").replaceChildren(...said);
}

const make = (name, text = "", ...children) => {
  const element = document.createElement(name);
  element.textContent = text;
  element.append(...children);
  return element;
};

const table = card =>
  make("dl", "", ...Object.entries(card).flatMap(([word, value]) => [make("dt", word), make("dd", value)]));

const link = item => {
  const button = make("button", items[item].label);
  button.title = items[item].id;
  button.addEventListener("click", async () => { await uncover(item); choose(item); reveal(item); });
  return make("li", "", button);
};

// The side panel: all that is known of an item, its picture, and its neighbours.
function describe(item) {
  const { label, id, kind, card, picture } = items[item];
  const parts = [make("h2", label), make("div", id === label ? kind : `${kind} · ${id}`), table(card)];
  parts[1].className = "hint";
  if (picture) parts.push(paint(picture));
  if (isGroup(item) && items[item].dot) {
    const button = make("button", open.has(item) ? "Close" : "Open");
    button.addEventListener("click", async () => { await uncover(item); await toggle(item); describe(item); });
    parts.push(button);
  }
  for (const [words, from, to] of [["Comes from", 1, 0], ["Goes to", 0, 1]]) {
    const others = [...new Set(edges.filter(edge => edge[from] === item).map(edge => edge[to]))];
    if (others.length) parts.push(make("h3", words), make("ul", "", ...others.map(link)));
  }
  $("details").replaceChildren(...parts);
}

// A picture of the values: rows of two hexadecimal digits a number, 00 the lowest and ff the highest, or -- for none.
function paint(rows) {
  const canvas = make("canvas"), width = rows[0].length / 2;
  [canvas.width, canvas.height] = [width, rows.length];
  canvas.style.width = `${Math.max(width * 8, 80)}px`;
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", "its values, from dark (lowest) to light (highest)");
  const context = canvas.getContext("2d");
  rows.forEach((row, y) => {
    for (let x = 0; x < width; x++) {
      context.fillStyle = data.ramp[parseInt(row.slice(2 * x, 2 * x + 2), 16)] ?? data.missing;
      context.fillRect(x, y, 1, 1);
    }
  });
  return canvas;
}

function hover(item, x, y) {
  const tip = $("tip"), own = stage.getBoundingClientRect();
  tip.hidden = item < 0;
  if (item < 0) return;
  tip.replaceChildren(make("b", items[item].label), table(items[item].card));
  tip.style.left = `${Math.max(0, Math.min(x - own.left + 14, own.width - tip.offsetWidth - 4))}px`;
  const below = y - own.top + 18, above = Math.max(0, y - own.top - tip.offsetHeight - 12);
  tip.style.top = `${below + tip.offsetHeight < own.height ? below : above}px`;
}

// --- hands and keys --------------------------------------------------------------------------------------------------

const itemAt = target => Number(target.closest?.("[data-item]")?.dataset.item ?? -1);
let grip = null; // where the pointer took hold; it drags once it has moved a little

stage.addEventListener("pointerdown", event => {
  if (event.button === 0) grip = { x: event.clientX, y: event.clientY };
});
stage.addEventListener("pointermove", event => {
  const dragging = stage.classList.contains("dragging");
  hover(dragging ? -1 : itemAt(event.target), event.clientX, event.clientY);
  if (!grip || (!dragging && Math.hypot(event.clientX - grip.x, event.clientY - grip.y) < 4)) return;
  stage.classList.add("dragging");
  stage.setPointerCapture(event.pointerId);
  pan(grip.x - event.clientX, grip.y - event.clientY);
  grip = { x: event.clientX, y: event.clientY };
});
stage.addEventListener("pointerleave", () => hover(-1));
stage.addEventListener("pointerup", () => { grip = null; });
stage.addEventListener("pointercancel", () => { grip = null; stage.classList.remove("dragging"); });
stage.addEventListener("click", event => {
  if (stage.classList.contains("dragging")) return stage.classList.remove("dragging");
  const item = itemAt(event.target);
  if (item >= 0) press(item, event.target.closest(".toggle, text") !== null);
});
stage.addEventListener("wheel", event => {
  event.preventDefault();
  const own = stage.getBoundingClientRect(), lines = event.deltaMode === 1 ? 16 : 1;
  zoom(Math.exp(-event.deltaY * lines * 0.0015), event.clientX - own.left, event.clientY - own.top);
}, { passive: false });
stage.addEventListener("focusin", event => {
  if (!event.target.matches(":focus-visible") || itemAt(event.target) < 0) return;
  reveal(itemAt(event.target));
  const box = event.target.getBoundingClientRect();
  hover(itemAt(event.target), box.right, box.bottom);
});

// A click opens a closed module; an open one closes by its name or its sign.
async function press(item, onLabel = true) {
  hover(-1);
  if (isGroup(item) && items[item].dot && (onLabel || !open.has(item))) await toggle(item);
  choose(item);
}

const turn = back => { backward = back; $(back ? "backward" : "forward").checked = true; mark(); };
const wander = (x, y) => pan(0.6 * x * stage.clientWidth, 0.6 * y * stage.clientHeight);
const seek = by => { start += by * (LIMIT >> 1); draw(); };
const groups = [...items.keys()].filter(isGroup);
const actions = {
  back: () => step(place() - 1), ahead: () => step(place() + 1), play: () => play(),
  in: () => zoom(1.25), out: () => zoom(0.8), fit: () => show(true),
  expand: () => setAll(groups), collapse: () => setAll(groups.filter(group => !items[group].dot)),
  next: () => go(1), previous: () => go(-1), earlier: () => seek(-1), later: () => seek(1),
  leftward: () => wander(-1, 0), rightward: () => wander(1, 0), upward: () => wander(0, -1), downward: () => wander(0, 1),
  forward: () => turn(false), backward: () => turn(true),
};
for (const [id, action] of Object.entries(actions)) $(id).addEventListener("click", action);
const keys = {
  ArrowLeft: actions.back, ArrowRight: actions.ahead, Home: () => step(0), End: () => step(order.length),
  " ": actions.play, "+": actions.in, "=": actions.in, "-": actions.out, 0: actions.fit, "/": () => search.focus(),
  b: () => turn(!backward),
  e: actions.expand, c: actions.collapse,
};
document.addEventListener("keydown", event => {
  const { key, target } = event, item = itemAt(target);
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (target === search) {
    if (key === "Enter") go(event.shiftKey ? -1 : 1);
    if (key === "Escape") stage.focus();
  } else if (item >= 0 && (key === "Enter" || key === " ")) {
    event.preventDefault();
    press(item);
  } else if (keys[key] && !target.matches("input") && !(key === " " && target.matches("button"))) {
    event.preventDefault();
    keys[key]();
  }
});
search.addEventListener("input", find);
slider.addEventListener("input", () => step(Number(slider.value)));
addEventListener("resize", look);
addEventListener("beforeprint", () => {
  stage.firstElementChild?.setAttribute("viewBox", `${view.left} ${view.top} ${view.width} ${view.height}`);
});
addEventListener("afterprint", look);

const swatches = data.legend.map(([fill, border, words]) => {
  const swatch = make("span");
  swatch.className = fill ? "swatch" : "swatch wire";
  Object.assign(swatch.style, fill ? { background: fill, border } : { height: 0, borderTop: border });
  return make("li", "", swatch, make("span", words));
});
const hint = make("p", "Click a box to see what is known of it, a module to open or close it. "
  + "Keys: ← → step, b turns round, / searches, + − 0 zoom, e opens all, c closes all.");
hint.className = "keys";
$("about").append(hint, make("h3", "Legend"), make("ul", "", ...swatches), ...data.notes.map(note => make("p", note)));
draw();
