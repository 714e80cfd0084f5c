// --- Random numbers: the page's own, so that a seed means the same in every browser -----------

// sfc32 (the small fast counting generator of Chris Doty-Humphrey's PractRand), filled by splitmix32.
function randomNumbers(seed) {
  let filling = seed >>> 0;
  const fill = () => {
    filling = (filling + 0x9e3779b9) | 0;
    let t = filling ^ (filling >>> 16);
    t = Math.imul(t, 0x21f0aaad);
    t ^= t >>> 15;
    t = Math.imul(t, 0x735a2d97);
    return t ^ (t >>> 15);
  };
  let [a, b, c, d] = [fill(), fill(), fill(), fill()];
  return () => {
    const t = (((a + b) | 0) + d) | 0;
    d = (d + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (((c << 21) | (c >>> 11)) + t) | 0;
    return (t >>> 0) / 4294967296;
  };
}

// Values of N(0, 1) by the Box-Muller transform, in pairs.
function normalScores(count, seed) {
  const random = randomNumbers(seed), scores = new Float32Array(count);
  for (let i = 0; i < count; i += 2) {
    const radius = Math.sqrt(-2 * Math.log(1 - random())), angle = 2 * Math.PI * random();
    scores[i] = radius * Math.cos(angle);
    if (i + 1 < count) scores[i + 1] = radius * Math.sin(angle);
  }
  return scores;
}

// --- Priors ------------------------------------------------------------------------------------

const data = JSON.parse(document.getElementById("data").textContent);
const decode = (text) => new Float32Array(Uint8Array.from(atob(text), (byte) => byte.charCodeAt(0)).buffer);
const priors = data.priors.map((prior) => ({ ...prior, table: decode(prior.quantiles) }));
const priorOf = (spec) => priors.find((prior) => prior.spec === spec);

// Values of N(0, 1) mapped to the same quantiles of another prior, with a given mean and deviation.
function transform(scores, { prior, mean, std }) {
  const { table } = prior, last = table.length - 1;
  const length = prior.sphere ? Math.sqrt(scores.length) / Math.hypot(...scores) : 1;
  return Float32Array.from(scores, (score) => {
    if (prior.sphere) return mean + std * score * length;
    const place = Math.min(last, Math.max(0, ((score + data.reach) / (2 * data.reach)) * last));
    const low = Math.floor(place), high = Math.min(last, low + 1), part = place - low;
    const value = prior.discrete ? table[Math.round(place)] : table[low] + part * (table[high] - table[low]);
    return mean + std * value;
  });
}

// Points of the density, from the distances between quantiles.
function density({ prior, mean, std }) {
  const { table } = prior, step = (2 * data.reach) / (table.length - 1), points = [];
  if (prior.discrete) {
    const values = [...new Set(table)];
    const share = table.filter((value) => value === values[0]).length / table.length;
    const below = 0.5 * (1 + erf((share * 2 * data.reach - data.reach) / Math.SQRT2));
    return { bars: [[mean + std * values[0], below], [mean + std * values[1], 1 - below]] };
  }
  for (let i = 4; i + 4 < table.length; i += 4) {
    const score = -data.reach + i * step, width = std * (table[i + 4] - table[i - 4]);
    if (!(width > 1e-4 * std)) continue;  // where many quantiles are equal
    const height = (Math.exp(-0.5 * score * score) / Math.sqrt(2 * Math.PI)) * (8 * step / width);
    points.push([mean + std * table[i], height]);
  }
  return { points };
}

// Abramowitz and Stegun, formula 7.1.26, accurate to 2e-7.
function erf(x) {
  const t = 1 / (1 + 0.3275911 * Math.abs(x));
  const series = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
  return Math.sign(x) * (1 - series * Math.exp(-x * x));
}

const share = ({ mean, std }) => 1 / (1 + (mean / std) ** 2);

// --- State, kept in the address ----------------------------------------------------------------

const FRAMES = 25, MAX_FACTOR = 2;  // of a walk; along a vector it goes from -2 to 2 times the vector
const start = () => ({
  seed: 0, count: 16, noise: "own", mean: 0, std: 1, runs: data.runs.map((_, i) => i).slice(0, 4),
  from: 0, to: 1, way: "between", at: 0,
});
let state = start();
let pasted = null;  // latent vectors from the text box

const MEANS = Math.max(5, ...priors.map((prior) => Math.abs(prior.mean)));
const WIDEST = Math.max(100, ...priors.map((prior) => prior.std));
const NARROWEST = Math.min(0.01, ...priors.map((prior) => prior.std));

const within = (text, low, high, fallback) => {
  const number = Number.parseFloat(text);
  return Number.isFinite(number) ? Math.min(high, Math.max(low, number)) : fallback;
};

function readAddress() {
  const given = new URLSearchParams(location.hash.slice(1)), defaults = start();
  const whole = (name, high) => Math.round(within(given.get(name), 0, high, defaults[name]));
  const runs = (given.get("runs") ?? "").split(".").map(Number).filter((i) => data.runs[i]);
  const noise = priorOf(given.get("noise"));
  const count = [4, 16, 36, 64].includes(Number(given.get("count"))) ? Number(given.get("count")) : defaults.count;
  state = {
    seed: whole("seed", 4294967295),
    count,
    noise: noise ? noise.spec : "own",
    mean: within(given.get("mean"), -MEANS, MEANS, noise ? noise.mean : 0),
    std: within(given.get("std"), NARROWEST, WIDEST, noise ? noise.std : 1),
    runs: given.get("runs") ? [...new Set(runs)].sort((a, b) => a - b) : defaults.runs,
    from: whole("from", count - 1),
    to: whole("to", count - 1),
    way: given.get("way") === "along" ? "along" : "between",
    at: whole("at", FRAMES - 1),
  };
  if (!state.runs.length) state.runs = [0];
}

// Browsers refuse an address that changes many times per second, so this waits for a pause.
let addressTimer = null;
function writeAddress() {
  clearTimeout(addressTimer);
  addressTimer = setTimeout(writeAddressNow, 300);
}

function writeAddressNow() {
  clearTimeout(addressTimer);
  const kept = { ...state, runs: state.runs.join(".") };
  if (state.noise === "own") ["mean", "std"].forEach((name) => delete kept[name]);
  try {
    history.replaceState(null, "", `#${new URLSearchParams(kept)}`);
  } catch {
    writeAddress();
  }
}

// --- Latent vectors ----------------------------------------------------------------------------

const longest = Math.max(...data.runs.map((run) => run.noiseSize));
let scores = [];  // one vector of N(0, 1) per image

function drawScores() {
  const flat = normalScores(state.count * longest, state.seed);
  scores = Array.from({ length: state.count }, (_, i) => flat.subarray(i * longest, (i + 1) * longest));
}

// The noise that a run gets now.
function noiseOf(run) {
  const prior = priorOf(state.noise === "own" ? run.prior : state.noise);
  return state.noise === "own" ? { prior, mean: prior.mean, std: prior.std } : { ...state, prior };
}

const vectorOf = (run, i) => pasted ? Float32Array.from(pasted[i]) : transform(scores[i].subarray(0, run.noiseSize), noiseOf(run));

// Spherical interpolation, which suits vectors of N(0, 1).
function slerp(one, other, part) {
  const dot = one.reduce((sum, value, i) => sum + value * other[i], 0);
  const cosine = dot / (Math.hypot(...one) * Math.hypot(...other));
  const angle = Math.acos(Math.min(1, Math.max(-1, cosine)));
  if (!(Math.sin(angle) > 1e-4)) return one.map((value, i) => value + part * (other[i] - value));
  const [a, b] = [Math.sin((1 - part) * angle), Math.sin(part * angle)].map((x) => x / Math.sin(angle));
  return one.map((value, i) => a * value + b * other[i]);
}

function vectorAt(run, frame) {
  const part = frame / (FRAMES - 1);
  if (state.way === "along") return vectorOf(run, state.from).map((value) => value * MAX_FACTOR * (2 * part - 1));
  if (part === 0 || part === 1) return vectorOf(run, part ? state.to : state.from);
  if (pasted) {
    const [one, other] = [vectorOf(run, state.from), vectorOf(run, state.to)];
    return one.map((value, i) => value + part * (other[i] - value));
  }
  const [one, other] = [state.from, state.to].map((i) => scores[i].subarray(0, run.noiseSize));
  return transform(slerp(one, other, part), noiseOf(run));
}

const $ = (id) => document.getElementById(id);

// --- Workers -----------------------------------------------------------------------------------

const engine = URL.createObjectURL(new Blob([document.getElementById("engine").textContent], { type: "text/javascript" }));
const workers = Array.from({ length: Math.min(4, Math.max(1, navigator.hardwareConcurrency || 1)) }, () => {
  const worker = { thread: new Worker(engine), loaded: new Set(), job: null };
  worker.thread.onerror = (event) => { $("busy").textContent = `This browser stopped drawing: ${event.message || "no reason given"}.`; };
  worker.thread.onmessage = ({ data: { pixels } }) => {
    const { done } = worker.job;
    worker.job = null;
    next();
    done(pixels);
  };
  return worker;
});
let queue = [];

// Draw one vector; jobs of one `kind` are cancelled together when something changes.
function draw(index, vector, kind) {
  return new Promise((done) => {
    const job = { index, vector, kind, done };
    if (kind === "grid") queue.push(job);
    else queue.unshift(job);  // a single image goes before a whole grid
    next();
  });
}

function next() {
  for (const worker of workers.filter((one) => !one.job)) {
    const job = queue.shift();
    if (!job) return;
    worker.job = job;
    const run = worker.loaded.has(job.index) ? undefined : data.runs[job.index];
    worker.loaded.add(job.index);
    worker.thread.postMessage({ index: job.index, run, vector: job.vector });
  }
}

function cancel(kind) {
  queue.filter((job) => job.kind === kind).forEach((job) => job.done(null));
  queue = queue.filter((job) => job.kind !== kind);
}

function paint(canvas, pixels) {
  const side = Math.sqrt(pixels.length / 4);
  if (canvas.width !== side) canvas.width = canvas.height = side;
  canvas.getContext("2d").putImageData(new ImageData(pixels, side, side), 0, 0);
}

// --- The page ----------------------------------------------------------------------------------

const element = (name, properties = {}, ...children) => {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
};
const titleOf = (run) => {
  const alike = data.runs.filter((other) => other.label === run.label);
  return alike.length > 1 ? `${run.label}: ${run.name}` : run.label;
};
let round = 0;  // of drawing: late results of an earlier one are dropped
let frames = new Map();  // of the walk, by run and frame
let boxes = [];  // canvases of the grids, by run
let choosesEnd = false;  // whether the next click on an image sets the walk's end

function layOut() {
  const grids = $("grids"), walks = $("walks");
  grids.replaceChildren();
  walks.replaceChildren();
  boxes = state.runs.map((index) => {
    const run = data.runs[index], columns = Math.min(8, Math.sqrt(state.count));
    const canvases = Array.from({ length: state.count }, () => element("canvas", { width: run.side, height: run.side }));
    const grid = element("div", { className: "images" }, ...canvases.map((canvas, i) => {
      const button = element("button", { type: "button", className: "image", onclick: () => choose(i) }, canvas);
      button.dataset.number = i;
      button.dataset.name = `Image ${i + 1}, ${titleOf(run)}`;
      return button;
    }));
    grid.onkeydown = (event) => move(event, grid, columns);
    grid.style.setProperty("--columns", columns);
    const about = `${run.collection}, ${run.architecture} of width ${run.width}, after ${run.epochs} epochs`;
    const mark = element("i", { className: "ink" });
    mark.style.background = run.ink;
    grids.append(element("section", { className: "run" },
      element("h2", {}, mark, titleOf(run)), element("p", { className: "soft", textContent: about }), grid));
    const large = element("canvas", { width: run.side, height: run.side });
    large.setAttribute("role", "img");
    large.setAttribute("aria-label", `The walk, ${titleOf(run)}`);
    walks.append(element("figure", {}, large, element("figcaption", { textContent: titleOf(run) })));
    return { index, canvases, large };
  });
}

// The arrow keys move within a grid, so that the Tab key can skip it.
function move(event, grid, columns) {
  const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns }[event.key];
  const to = grid.children[Number(document.activeElement.dataset.number) + step];
  if (!step || !to) return;
  event.preventDefault();
  to.focus();
}

let ready = Promise.resolve();  // resolves when all images of the grids are drawn

function redraw() {
  const mine = ++round;
  cancel("grid");
  let left = state.count * boxes.length, finish;
  ready = new Promise((done) => { finish = done; });
  for (let i = 0; i < state.count; i++) {
    for (const { index, canvases } of boxes) {
      draw(index, vectorOf(data.runs[index], i), "grid").then((pixels) => {
        if (mine !== round) return;
        paint(canvases[i], pixels);
        if (--left > 0) return;
        $("busy").textContent = "";
        finish();
      });
    }
  }
  restartWalk();
}

// Restart the walk: its frames are drawn when they are needed.
function restartWalk() {
  cancel("walk");
  frames = new Map();
  showFrame();
}

function frameOf(index, frame) {
  const name = `${index}:${frame}`;
  if (!frames.has(name)) frames.set(name, draw(index, vectorAt(data.runs[index], frame), "walk"));
  return frames.get(name);
}

async function showFrame() {
  const all = frames, frame = state.at, shown = boxes;
  const drawn = await Promise.all(shown.map(({ index }) => frameOf(index, frame)));
  if (all !== frames || shown !== boxes || frame !== state.at) return;
  shown.forEach(({ large }, i) => paint(large, drawn[i]));
}

function choose(i) {
  stop();
  if (state.way === "along") {
    Object.assign(state, { from: i, at: 0.75 * (FRAMES - 1) });  // the vector itself
  } else if (choosesEnd) {
    state.to = i;
    choosesEnd = false;
  } else {
    Object.assign(state, { from: i, at: 0 });
    choosesEnd = true;
  }
  describe();
  restartWalk();
}

const setText = (id, text) => { if ($(id).textContent !== text) $(id).textContent = text; };

function describePlace() {
  writeAddress();
  $("at").value = state.at;
  const part = state.at / (FRAMES - 1), times = MAX_FACTOR * (2 * part - 1);
  const place = state.way === "along"
    ? `${times.toFixed(2)} times the vector of image ${state.from + 1}`
    : `${Math.round(100 * part)} % of the way from image ${state.from + 1} to image ${state.to + 1}`;
  $("at").setAttribute("aria-valuetext", place);
  setText("at-text", place);
}

// Update everything but the images.
function describe() {
  $("seed").value = state.seed;
  $("count").value = state.count;
  $("noise").value = state.noise;
  const own = state.noise === "own", shown = state.runs.map((i) => data.runs[i]);
  const noises = own
    ? shown.map((run) => ({ ...noiseOf(run), ink: run.ink, label: titleOf(run), pools: run.pools }))
    : [{ ...noiseOf(shown[0]), ink: "var(--link)", label: "the noise chosen", pools: true }];
  const { prior, mean, std } = noises[0];
  $("mean").value = mean;
  $("mean-number").value = Number(mean.toPrecision(3));
  $("std").value = Math.log10(std);
  $("std").setAttribute("aria-valuetext", round3(std));
  $("std-number").value = Number(std.toPrecision(3));
  $("own-text").hidden = !own || noises.length < 2;
  const moved = !own && (Math.abs(mean - prior.mean) > 1e-6 || Math.abs(std / prior.std - 1) > 1e-6);
  $("moved-text").hidden = !moved;
  setText("moved-text", moved ? `The shape of ${prior.label}, with mean ${round3(mean)} and standard deviation ${round3(std)}.` : "");
  $("noise-controls").disabled = Boolean(pasted);
  $("pasted").hidden = !pasted;
  $("figures").hidden = Boolean(pasted);
  document.querySelectorAll("[name=run]").forEach((box) => { box.checked = state.runs.includes(Number(box.value)); });
  document.querySelectorAll(".image").forEach((button) => {
    const i = Number(button.dataset.number);
    const marks = [i === state.from && "from", i === state.to && state.way === "between" && "to"].filter(Boolean);
    button.dataset.mark = marks.join(", ");
    button.tabIndex = i === state.from ? 0 : -1;
    button.setAttribute("aria-pressed", marks.length > 0);
    button.setAttribute("aria-label", [button.dataset.name, ...marks].join(", "));
  });
  $("between").checked = state.way === "between";
  $("along").checked = state.way === "along";
  setText("between-text", pasted
    ? "from one image to another, in a straight line; halfway the vectors are shorter than usual"
    : "from one image to another, on a curve: every vector on the way could have come from this noise");
  setText("choose-text", state.way === "along"
    ? "Choose the image whose vector is multiplied. Only near 1 (and −1, if the noise is symmetric) could the vectors have come from the noise."
    : choosesEnd
      ? "Now choose the image where the walk ends."
      : state.from === state.to
        ? "Both ends are the same image. Choose two: the walk leads from the first to the second."
        : "Choose two images above: the walk leads from the first to the second.");
  $("pokemon-text").hidden = !shown.some((run) => !run.pools);
  drawDensity(noises);
  drawShare(noises.filter((noise) => noise.pools), own);
  describePlace();
}

function change(changes) {
  stop();
  choosesEnd = false;
  Object.assign(state, changes);
  state.from = Math.min(state.from, state.count - 1);
  state.to = Math.min(state.to, state.count - 1);
  if ("seed" in changes || "count" in changes) drawScores();
  if ("runs" in changes || "count" in changes) layOut();
  describe();
  requestRedraw();
}

let waits = false;  // a slider moves faster than images are drawn: one redraw per screen frame is enough
function requestRedraw() {
  $("busy").textContent = "drawing";
  if (waits) return;
  waits = true;
  requestAnimationFrame(() => { waits = false; redraw(); });
}

// --- Figures -----------------------------------------------------------------------------------

const SVG = "http://www.w3.org/2000/svg";
const shape = (name, attributes, text) => {
  const made = document.createElementNS(SVG, name);
  Object.entries(attributes).forEach(([key, value]) => made.setAttribute(key, value));
  if (text !== undefined) made.textContent = text;
  return made;
};
const round3 = (x) => Number(x.toPrecision(3)).toString().replace("-", "−");

function drawDensity(noises) {
  const figure = $("density"), wide = 320, high = 120, base = high - 18;
  const low = Math.min(-0.1, ...noises.map(({ mean, std }) => mean - 3.2 * std));
  const top = Math.max(0.1, ...noises.map(({ mean, std }) => mean + 3.2 * std));
  const x = (value) => ((value - low) / (top - low)) * wide;
  figure.replaceChildren(
    shape("line", { x1: 0, x2: wide, y1: base, y2: base, class: "axis" }),
    shape("line", { x1: x(0), x2: x(0), y1: 4, y2: base, class: "axis dashed" }),
  );
  [low, 0, top].forEach((value, i) => {
    if (i !== 1 && Math.abs(x(value) - x(0)) < 60) return;  // it would overlap the 0
    const anchor = x(value) < 10 ? "start" : x(value) > wide - 10 ? "end" : "middle";
    figure.append(shape("text", { x: x(value), y: high - 4, "text-anchor": anchor }, round3(value)));
  });
  for (const noise of noises) {
    const { points, bars } = density(noise);
    if (bars) {
      for (const [value, height] of bars) {
        figure.append(shape("line", { x1: x(value), x2: x(value), y1: base, y2: base - height * (base - 8), class: "bar-of", style: `stroke: ${noise.ink}` }));
      }
      continue;
    }
    // Each is scaled to the figure's height: widths are compared, not heights. Spikes are cut.
    const heights = points.map(([, height]) => height).sort((a, b) => a - b);
    const highest = Math.min(heights.at(-1), 2.5 * heights[Math.floor(0.9 * heights.length)]);
    const path = points.map(([value, height]) => `${x(value).toFixed(1)},${(base - Math.min(1, height / highest) * (base - 8)).toFixed(1)}`);
    const ends = `${x(points[0][0])},${base} ${path.join(" ")} ${x(points.at(-1)[0])},${base}`;
    figure.append(shape("polyline", { points: ends, class: "curve", style: `stroke: ${noise.ink}` }));
  }
  figure.setAttribute("aria-label", `Density of one number of a latent vector: ${noises.map(({ label, mean, std }) => `${label}, mean ${round3(mean)}, standard deviation ${round3(std)}`).join("; ")}.`);
}

function drawShare(noises, own) {
  const figure = $("share"), wide = 320, high = 120, base = high - 18, most = 4;
  const x = (ratio) => Math.min(1, ratio / most) * wide, y = (value) => base - value * (base - 10);
  const curve = Array.from({ length: 81 }, (_, i) => i / 20).map((ratio) => `${x(ratio)},${y(1 / (1 + ratio * ratio)).toFixed(1)}`);
  figure.replaceChildren(
    shape("line", { x1: 0, x2: wide, y1: base, y2: base, class: "axis" }),
    shape("polyline", { points: curve.join(" "), class: "theory" }),
    ...[0, 1, 2, 3, 4].map((ratio) => shape("text", { x: x(ratio), y: high - 4, "text-anchor": ratio === 0 ? "start" : ratio === most ? "end" : "middle" }, ratio)),
    ...noises.map((noise) => shape("circle", { cx: Math.min(wide - 6, Math.max(6, x(Math.abs(noise.mean / noise.std)))), cy: y(share(noise)), r: 6, style: own ? `fill: ${noise.ink}` : `fill: var(--paper); stroke: ${noise.ink}; stroke-width: 3` })),
  );
  const shares = noises.map((noise) => `${noises.length > 1 ? `${noise.label}: ` : ""}${Math.round(100 * share(noise))} %`);
  setText("share-text", shares.join(", "));
  figure.setAttribute("aria-label", `Share of the first layer's variance that distinguishes images when training begins, against |mean| / standard deviation. ${shares.join(", ")}.`);
}

// --- Playing the walk --------------------------------------------------------------------------

let playing = null;

function stop() {
  clearTimeout(playing);
  playing = null;
  setText("play", "Play");
}

async function play() {
  if (playing) return stop();
  $("play").textContent = "Stop";
  let step = state.at >= FRAMES - 1 ? -1 : 1;
  const turn = async () => {
    const mine = playing;
    if (state.at + step < 0 || state.at + step >= FRAMES) step = -step;
    state.at += step;
    describePlace();
    await showFrame();
    if (playing === mine && playing) playing = setTimeout(turn, 80);
  };
  playing = setTimeout(turn, 0);
}

// --- Saving ------------------------------------------------------------------------------------

function save(blob, name) {
  const link = element("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

const asPng = (canvas) => new Promise((done) => canvas.toBlob(done, "image/png"));
const fileName = (what, ending) => `${data.runs[state.runs[0]].collection}-${what}-${pasted ? "own-vectors" : `seed-${state.seed}`}.${ending}`;

// All grids in one image, each below its run's name.
function drawAllGrids() {
  const columns = Math.sqrt(state.count), room = 28;
  const sides = boxes.map(({ index }) => Math.min(1024, Math.max(256, data.runs[index].side * columns * 2)));
  const canvas = element("canvas", { width: sides.reduce((a, b) => a + b + 16, -16), height: Math.max(...sides) + room });
  const pen = canvas.getContext("2d");
  pen.fillStyle = "#fff";
  pen.fillRect(0, 0, canvas.width, canvas.height);
  pen.fillStyle = "#222";
  pen.font = "16px system-ui, sans-serif";
  let left = 0;
  boxes.forEach(({ index, canvases }, k) => {
    const side = sides[k] / columns;
    pen.fillText(titleOf(data.runs[index]), left, 18, sides[k]);
    canvases.forEach((one, i) => pen.drawImage(one, left + (i % columns) * side, room + Math.floor(i / columns) * side, side, side));
    left += sides[k] + 16;
  });
  return canvas;
}

// One frame of the walk, all runs side by side.
async function still(frame) {
  const shown = boxes, all = frames;
  const drawn = await Promise.all(shown.map(({ index }) => frameOf(index, frame)));
  if (shown !== boxes || all !== frames || drawn.includes(null)) return null;  // another walk has been chosen
  const side = Math.max(192, ...shown.map(({ index }) => data.runs[index].side));
  const canvas = element("canvas", { width: shown.length * side, height: side }), small = element("canvas");
  drawn.forEach((pixels, k) => {
    paint(small, pixels);
    canvas.getContext("2d").drawImage(small, k * side, 0, side, side);
  });
  return canvas;
}

const CRC = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let k = 0; k < 8; k++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
  return n;
});

function chunk(type, content) {
  const bytes = new Uint8Array(content.length + 12), view = new DataView(bytes.buffer);
  view.setUint32(0, content.length);
  bytes.set([...type].map((letter) => letter.charCodeAt(0)), 4);
  bytes.set(content, 8);
  let crc = 0xffffffff;
  for (const byte of bytes.subarray(4, -4)) crc = CRC[(crc ^ byte) & 255] ^ (crc >>> 8);
  view.setUint32(bytes.length - 4, ~crc);
  return bytes;
}

function chunksOf(png) {
  const view = new DataView(png.buffer), found = [];
  for (let at = 8; at < png.length;) {
    const length = view.getUint32(at), type = String.fromCharCode(...png.subarray(at + 4, at + 8));
    found.push({ type, content: png.subarray(at + 8, at + 8 + length) });
    at += length + 12;
  }
  return found;
}

const words = (...numbers) => {
  const view = new DataView(new ArrayBuffer(4 * numbers.length));
  numbers.forEach((number, i) => view.setUint32(4 * i, number));
  return new Uint8Array(view.buffer);
};

// An animated PNG (third edition of the PNG specification, W3C 2025), from frames encoded by the browser.
async function animated(pngs, width, height, milliseconds) {
  const parts = [Uint8Array.of(137, 80, 78, 71, 13, 10, 26, 10)];
  let order = 0;
  for (const [k, png] of pngs.entries()) {
    const chunks = chunksOf(png);
    if (k === 0) parts.push(chunk("IHDR", chunks[0].content), chunk("acTL", words(pngs.length, 0)));
    const timing = new Uint8Array([...words(order++, width, height, 0, 0), milliseconds >> 8, milliseconds & 255, 3, 232, 0, 0]);
    parts.push(chunk("fcTL", timing));
    for (const { content } of chunks.filter(({ type }) => type === "IDAT")) {
      parts.push(k === 0 ? chunk("IDAT", content) : chunk("fdAT", new Uint8Array([...words(order++), ...content])));
    }
  }
  return new Blob([...parts, chunk("IEND", new Uint8Array())], { type: "image/png" });
}

async function saveWalk() {
  const button = $("save-walk"), label = button.textContent, pngs = [];
  let canvas;
  button.disabled = true;
  try {
    for (let frame = 0; frame < FRAMES; frame++) {
      button.textContent = `${frame + 1} of ${FRAMES}`;
      canvas = await still(frame);
      if (!canvas) return setText("at-text", "The walk changed meanwhile, so nothing was saved.");
      pngs.push(new Uint8Array(await (await asPng(canvas)).arrayBuffer()));
    }
    const both = [...pngs, ...pngs.slice(1, -1).reverse()];
    save(await animated(both, canvas.width, canvas.height, 80), fileName("walk", "png"));
  } finally {
    button.textContent = label;
    button.disabled = false;
  }
}

// --- Vectors as JSON ---------------------------------------------------------------------------

const vectorsNow = () => Array.from({ length: state.count }, (_, i) => Array.from(vectorOf(data.runs[state.runs[0]], i), (value) => Number(value.toPrecision(9))));

function readVectors(text) {
  let found;
  try {
    found = JSON.parse(text);
  } catch {
    throw new Error("This is not valid JSON. It should look like [[0.1, -0.2, ...], [0.3, ...]].");
  }
  if (Array.isArray(found) && found.length && found.every((value) => typeof value === "number")) found = [found];
  if (!Array.isArray(found) || !found.length || !found.every((vector) => Array.isArray(vector) && vector.every((x) => Number.isFinite(x) && Number.isFinite(Math.fround(x))))) {
    throw new Error("This should be a list of vectors, each a list of numbers.");
  }
  const wrong = found.findIndex((vector) => state.runs.some((i) => vector.length !== data.runs[i].noiseSize));
  if (wrong >= 0) {
    const sizes = [...new Set(state.runs.map((i) => data.runs[i].noiseSize))].join(" and ");
    throw new Error(`Vector ${wrong + 1} has ${found[wrong].length} numbers; the generators shown need ${sizes}.`);
  }
  return found;
}

function usePasted() {
  $("json-text").textContent = "";
  try {
    const found = readVectors($("json").value);
    const count = [4, 16, 36, 64].find((n) => n >= found.length) ?? 64;
    pasted = Array.from({ length: count }, (_, i) => found[i % found.length]);
    change({ count });
    const many = found.length === 1 ? "One vector" : `${Math.min(count, found.length)} vectors`;
    const more = found.length < count ? ", repeated until the grid is full" : found.length > count ? `, the first of ${found.length}` : "";
    $("json-text").textContent = `${many}${more}, the same for every generator.`;
  } catch (error) {
    $("json-text").textContent = error.message;
  }
}

// --- Wiring ------------------------------------------------------------------------------------

function forgetPasted(why = "") {
  pasted = null;
  $("json-text").textContent = why;
}

function explicit() {
  if (state.noise !== "own") return {};
  const { prior, mean, std } = noiseOf(data.runs[state.runs[0]]);
  return { noise: prior.spec, mean, std };
}

for (const prior of priors) {
  const text = `${prior.label}: mean ${round3(prior.mean)}, standard deviation ${round3(prior.std)}`;
  $("noise").append(element("option", { value: prior.spec, textContent: text }));
}
for (const [i, run] of data.runs.entries()) {
  const box = element("input", { type: "checkbox", name: "run", value: i, onchange: () => {
    const runs = data.runs.map((_, k) => k).filter((k) => document.querySelector(`[name=run][value="${k}"]`).checked);
    if (pasted && runs.some((k) => data.runs[k].noiseSize !== pasted[0].length)) forgetPasted("That generator needs vectors of another length: back to the seed.");
    change({ runs: runs.length ? runs : state.runs });
  } });
  const mark = element("i", { className: "ink" });
  mark.style.background = run.ink;
  $("runs").append(element("label", {}, box, mark, titleOf(run)));
}
$("runs-of").hidden = data.runs.length < 2;
$("seed").onchange = ({ target }) => { forgetPasted(); change({ seed: Math.round(within(target.value, 0, 4294967295, state.seed)) }); };
$("another").onclick = () => { forgetPasted(); change({ seed: (state.seed + 1) >>> 0 }); };
$("count").onchange = ({ target }) => { forgetPasted(); change({ count: Number(target.value) }); };
$("noise").onchange = ({ target }) => {
  const prior = priorOf(target.value);
  change(prior ? { noise: prior.spec, mean: prior.mean, std: prior.std } : { noise: "own" });
};
$("mean").oninput = ({ target }) => change({ ...explicit(), mean: Number(target.value) });
$("std").oninput = ({ target }) => change({ ...explicit(), std: 10 ** Number(target.value) });
$("mean-number").onchange = ({ target }) => change({ ...explicit(), mean: within(target.value, -MEANS, MEANS, noiseOf(data.runs[state.runs[0]]).mean) });
$("std-number").onchange = ({ target }) => change({ ...explicit(), std: within(target.value, NARROWEST, WIDEST, noiseOf(data.runs[state.runs[0]]).std) });
for (const way of ["between", "along"]) {
  $(way).onchange = () => { stop(); choosesEnd = false; state.way = way; describe(); restartWalk(); };
}
$("at").oninput = ({ target }) => { stop(); state.at = Number(target.value); describePlace(); showFrame(); };
$("play").onclick = play;
$("save-grid").onclick = async () => { await ready; save(await asPng(drawAllGrids()), fileName("images", "png")); };
$("save-still").onclick = async () => {
  const canvas = await still(state.at);
  if (canvas) save(await asPng(canvas), fileName("image", "png"));
};
$("save-walk").onclick = saveWalk;
$("give").onclick = () => { $("json").value = JSON.stringify(vectorsNow()); $("json-text").textContent = `The vectors of ${titleOf(data.runs[state.runs[0]])}, one per image.`; };
$("save-json").onclick = () => save(new Blob([JSON.stringify(vectorsNow())], { type: "application/json" }), fileName("vectors", "json"));
$("take").onclick = usePasted;
$("back").onclick = () => { forgetPasted(); change({}); };
$("copy-link").onclick = async () => {
  writeAddressNow();
  try {
    await navigator.clipboard.writeText(location.href);
    setText("link-text", location.protocol === "file:"
      ? "Copied. The link works where this file is in the same place; the part after the # works with any copy."
      : "Copied.");
  } catch {
    setText("link-text", "This browser does not let a page copy: copy the link from the address bar.");
  }
};
addEventListener("pagehide", writeAddressNow);
addEventListener("hashchange", () => {
  if (location.hash && !location.hash.includes("=")) return writeAddressNow();  // a link within the page
  forgetPasted();
  readAddress();
  change({ ...state });
});
for (const [id, low, high] of [["mean-number", -MEANS, MEANS], ["std-number", NARROWEST, WIDEST]]) Object.assign($(id), { min: low, max: high });

readAddress();
change({ ...state });

// For tests and for the browser's console.
window.playground = { draw: (index, vector) => draw(index, Float32Array.from(vector), "asked"), vectorOf: (index, i) => Array.from(vectorOf(data.runs[index], i)) };
