// Drawing what is seen: the layout engine, and its SVG made ready for hands and eyes. walk.js is about looking, stepping.

const { edges } = data;
const stage = $("stage"), slider = $("slider"), search = $("search");
let nodes = new Map();     // item → its element in the drawing
let wires = [];            // [element, tail, head]
let current = -1, backward = false, chosen = -1, player = 0;
let matches = [], match = -1;

// --- the layout engine, in a worker where the browser lets a local page have one ------------------------------------

const answer = "const viz = Viz.instance(); onmessage = async ({data: [number, dot]}) => {" +
  "try { postMessage([number, (await viz).renderString(dot, {format: 'svg'})]) }" +
  "catch (error) { postMessage([number, null, String(error)]) } };";
const waiting = new Map();
let worker = null, asked = 0;
try {
  const program = new Blob([$("layout").textContent, "\n", answer], { type: "text/javascript" });
  worker = new Worker(URL.createObjectURL(program));
  worker.onmessage = ({ data: [number, svg, error] }) => {
    waiting.get(number)[svg === null ? "reject" : "resolve"](svg ?? new Error(error));
    waiting.delete(number);
  };
  worker.onerror = event => {
    event.preventDefault();
    worker = null;
    for (const { dot, resolve } of waiting.values()) resolve(here(dot));
  };
} catch { worker = null; }

const here = async dot => (await (here.viz ??= Viz.instance())).renderString(dot, { format: "svg" });

const layout = dot => !worker ? here(dot) : new Promise((resolve, reject) => {
  waiting.set(++asked, { dot, resolve, reject });
  worker.postMessage([asked, dot]);
});

// --- drawing ---------------------------------------------------------------------------------------------------------

let drawing = 0;

// Draw the current state; `keep` is an item that stays where it is on the screen.
async function draw(keep = -1) {
  const number = ++drawing, before = centre(keep);
  stage.classList.add("busy");
  let text;
  settle();
  try {
    text = await layout(assemble());
  } catch (error) {
    stage.classList.remove("busy");
    return notice(`The layout failed: ${error.message}`);
  }
  if (number !== drawing) return; // a later state was asked for meanwhile
  const svg = document.importNode(new DOMParser().parseFromString(text, "image/svg+xml").documentElement, true);
  const [x, y, width, height] = svg.getAttribute("viewBox").split(" ").map(Number);
  Object.assign(view, { left: x, top: y, width, height });
  svg.removeAttribute("width");
  svg.removeAttribute("height");
  nodes = new Map();
  wires = [];
  for (const tip of svg.querySelectorAll("a")) tip.parentNode.replaceWith(...tip.childNodes); // tool tips are our own
  for (const element of svg.querySelectorAll("g.node, g.cluster, g.edge"))
    adopt(element, element.querySelector("title").textContent);
  for (const title of svg.querySelectorAll("title")) title.remove();
  const focus = Number(document.activeElement?.dataset?.item ?? -1);
  stage.replaceChildren(svg);
  look();
  stage.classList.remove("busy");
  for (const set of [...svg.querySelectorAll(".node, .cluster")].map(setLines)) set(); // first all is measured
  for (const [item, element] of nodes) if (isGroup(item) && items[item].dot) addToggle(item, element);
  const after = centre(keep);
  if (before && after) pan(after.x - before.x, after.y - before.y); else show();
  if (focus >= 0) nodes.get(focus)?.focus({ preventScroll: true });
  notice(order.length <= LIMIT ? "" :
    `${order.length} boxes are open; here are ${start + 1} to ${start + LIMIT}. Search or step to see the others.`);
  mark();
}

function adopt(element, title) {
  if (element.classList.contains("edge")) {
    const edge = edges[/^e(\d+)$/.exec(element.id)?.[1]];
    if (!edge) return;
    const [tail, head] = [stands[edge[0]], stands[edge[1]]];
    wires.push([element, tail, head]);
    Object.assign(element.dataset, { tail: items[tail].id, head: items[head].id });
    return;
  }
  for (const shape of element.children) { // what comes before the text is the outline; after it there may be a picture
    if (shape.matches("text")) break;
    shape.classList.add("outline");
  }
  const item = Number(/^(?:cluster )?n(\d+)/.exec(title)?.[1] ?? -1);
  if (item < 0) return;
  nodes.set(item, element);
  element.dataset.item = item;
  element.dataset.id = items[item].id;
  element.setAttribute("tabindex", "0");
  element.setAttribute("role", "button");
  element.setAttribute("aria-label", [items[item].label, ...Object.values(items[item].card)].join(", "));
  if (isGroup(item)) element.setAttribute("aria-expanded", String(open.has(item)));
}

// Graphviz only guesses how wide text is. Set the pieces of each line anew: side by side, a node's line in its middle.
function setLines(element) {
  const lines = [];
  for (const text of element.querySelectorAll("text")) {
    const [x, y] = ["x", "y"].map(name => Number(text.getAttribute(name)));
    const piece = { text, x, y, width: text.getComputedTextLength() };
    const line = lines.at(-1), last = line?.at(-1);
    if (last && x > last.x && Math.abs(y - line[0].y) < 7) line.push(piece); else lines.push([piece]);
  }
  const outline = element.querySelector(".outline")?.getBBox(), middle = element.matches(".node") && outline;
  return () => {
    for (const line of lines) {
      const whole = line.reduce((sum, { width }) => sum + width, 0);
      let x = middle ? outline.x + (outline.width - whole) / 2 : line[0].x;
      for (const { text, y, width } of line) {
        text.setAttribute("text-anchor", "start");
        text.setAttribute("x", x);
        const below = text.getAttribute("baseline-shift") === "sub"; // browsers lower it into the next line
        if (below) text.removeAttribute("baseline-shift");
        text.setAttribute("y", y + (below ? 2.5 : 0));
        x += width;
      }
    }
  };
}

// A plus or minus in the upper right corner says that a module opens or closes.
function addToggle(item, element) {
  const box = element.getBBox(), x = box.x + box.width - (open.has(item) ? 11 : 1);
  const y = open.has(item) ? Number(element.querySelector("text").getAttribute("y")) - 4 : box.y + 1;
  const toggle = document.createElementNS("http://www.w3.org/2000/svg", "g");
  const sign = `M${x - 3.5} ${y}h7${open.has(item) ? "" : `M${x} ${y - 3.5}v7`}`;
  const shapes = { circle: { cx: x, cy: y, r: 6.5 }, path: { d: sign } };
  for (const [name, attributes] of Object.entries(shapes)) {
    const shape = toggle.appendChild(document.createElementNS("http://www.w3.org/2000/svg", name));
    for (const [key, value] of Object.entries(attributes)) shape.setAttribute(key, value);
  }
  toggle.setAttribute("class", "toggle");
  element.append(toggle);
}

function notice(text) {
  $("notice").hidden = !text;
  $("notice").firstElementChild.textContent = text;
  $("earlier").hidden = $("later").hidden = order.length <= LIMIT;
  $("earlier").disabled = start === 0;
  $("later").disabled = start + LIMIT >= order.length;
}
