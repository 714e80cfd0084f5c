// --- Helpers -------------------------------------------------------------------------------------

const element = (name, properties = {}, ...children) => {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
};
const setText = (id, text) => { if ($(id).textContent !== text) $(id).textContent = text; };
const titleOf = (run) => {
  const alike = data.runs.filter((other) => other.label === run.label);
  return alike.length > 1 ? `${run.label}: ${run.name}` : run.label;
};
const marked = (run) => {
  const mark = element("i", { className: "ink" });
  mark.style.background = run.ink;
  return mark;
};

function paint(canvas, pixels) {
  const side = Math.sqrt(pixels.length / 4);
  if (canvas.width !== side) canvas.width = canvas.height = side;
  canvas.getContext("2d").putImageData(new ImageData(pixels, side, side), 0, 0);
}

// Requests come faster than images. One is under way at a time, and what arrives is painted; then
// the newest follows. Returns a promise of the time when nothing is left to draw.
function newestFirst(draw) {
  let wanted = false, under = null;
  const turn = async () => {
    try {
      while (wanted) {
        wanted = false;
        await draw();
      }
    } finally {
      under = null;
    }
  };
  return () => { wanted = true; return under ??= turn(); };
}

// --- The grids -----------------------------------------------------------------------------------

let boxes = [];  // of the generators shown: their canvases and what draws them

const GROUPS = [["Mean zero", (run) => !hasMean(run)], ["Mean not zero", hasMean]];

function layOut() {
  const columns = Math.min(8, Math.sqrt(state.count));
  boxes = state.runs.map((index) => layOutGrid(index, columns));
  const groups = GROUPS.map(([name, belongs]) => [name, boxes.filter(({ index }) => belongs(data.runs[index]))]).filter(([, some]) => some.length);
  // Few generators stand in one row, to be compared; more have a row for each group.
  const across = boxes.length <= 3 ? boxes.length : Math.min(3, Math.max(...groups.map(([, some]) => some.length)));
  $("grids").style.setProperty("--across", across);
  $("grids").style.setProperty("--columns", columns);
  $("grids").classList.toggle("pair", boxes.length === 2);
  $("grids").replaceChildren(...realImages(across, columns), ...groups.map(([name, some]) => {
    const row = element("div", { className: "runs" }, ...some.map(({ section }) => section));
    const group = element("section", {}, element("h2", { textContent: name }), row);
    group.style.setProperty("--across", boxes.length <= 3 ? some.length : across);
    return group;
  }));
  $("large").replaceChildren(...boxes.map(({ index, large }) => element("figure", {}, large, element("figcaption", { textContent: titleOf(data.runs[index]) }))));
}

// A row of real images, as large as the generated ones.
function realImages(across, columns) {
  const run = state.runs.map((index) => data.runs[index]).find((one) => one.real);
  if (!run) return [];
  const tiles = Array.from({ length: Math.min(16, across * columns) }, (_, i) => {
    const tile = element("i");
    tile.style.background = `url(${run.real}) ${(i % 4) * 100 / 3}% ${Math.floor(i / 4) * 100 / 3}% / 400%`;
    return tile;
  });
  const cells = Array.from({ length: across }, (_, k) => element("div", { className: "images" }, ...tiles.slice(k * columns, (k + 1) * columns)));
  const row = element("div", { className: "runs real" }, ...cells);
  row.setAttribute("role", "img");
  row.setAttribute("aria-label", `Images of the collection ${run.collection}`);
  return [element("section", { className: "whole" }, element("h2", { textContent: `Real images: ${run.collection}` }), row)];
}

function layOutGrid(index, columns) {
  const run = data.runs[index], title = titleOf(run);
  const canvases = Array.from({ length: state.count }, () => element("canvas", { width: run.side, height: run.side }));
  const grid = element("div", { className: "images" }, ...canvases.map((canvas, i) => {
    const button = element("button", { type: "button", className: "image", onclick: () => choose(i) }, canvas);
    button.dataset.number = i;
    button.dataset.name = `Image ${i + 1}, ${title}`;
    return button;
  }));
  grid.onkeydown = (event) => move(event, grid, columns);
  dragsToWalk(grid);
  const large = element("canvas", { width: run.side, height: run.side });
  large.setAttribute("role", "img");
  large.setAttribute("aria-label", `The chosen image, ${title}`);
  const share = run.realShare === null ? null : shareBar(run);
  const section = element("section", { className: "run" }, element("h3", {}, marked(run), title), ...(share ? [share.row] : []), grid);
  const box = { index, canvases, large, section, share };
  box.request = newestFirst(() => drawGrid(box));
  return box;
}

// The arrow keys move within a grid, so that the Tab key can skip it.
function move(event, grid, columns) {
  const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns }[event.key];
  const to = grid.children[Number(document.activeElement.dataset.number) + step];
  if (!step || !to) return;
  event.preventDefault();
  to.focus();
}

async function drawGrid(box) {
  const run = data.runs[box.index], bytes = 4 * run.side ** 2;
  const drawn = await drawBatch(box.index, batchOf(run), { epoch: epochOf(run), shown: box.canvases.length, training: asInTraining() });
  if (!drawn) return;
  box.canvases.forEach((canvas, i) => paint(canvas, drawn.pixels.subarray(i * bytes, (i + 1) * bytes)));
  box.share?.show(drawn.share, asInTraining() ? theoryOf(noiseOf(run), run.norm) : null);
}

// --- The share between images --------------------------------------------------------------------

const MOST = 1.2;  // where the bars end; 1 is as varied as the real images

function shareBar(run) {
  const fill = element("i", { className: "fill" }), mark = element("i", { className: "theory-mark" });
  const track = element("div", { className: "track" }, fill, mark), number = element("span", { className: "soft" });
  fill.style.background = run.ink;
  Object.entries({ role: "meter", "aria-label": `Share between images, ${titleOf(run)}`, "aria-valuemin": 0, "aria-valuemax": MOST }).forEach(([name, value]) => track.setAttribute(name, value));
  const bar = { row: element("div", { className: "share" }, track, number), value: null };
  bar.show = (value, theory) => {
    bar.value = value;
    const place = (x) => `${(100 * Math.min(MOST, Math.max(0, x))) / MOST}%`;
    fill.style.width = place(value);
    mark.hidden = theory === null;
    if (theory !== null) mark.style.left = place(theory);
    track.setAttribute("aria-valuenow", Math.min(MOST, value).toFixed(2));
    number.textContent = `${value.toFixed(2)}${theory === null ? "" : ` (theory ${theory.toFixed(2)})`}`;
    track.setAttribute("aria-valuetext", number.textContent);
    speak();
  };
  return bar;
}

// Screen readers hear the shares when the hand rests.
let speaks = null;
function speak() {
  clearTimeout(speaks);
  speaks = setTimeout(() => {
    const told = boxes.filter(({ share }) => share?.value != null).map(({ index, share }) => `${titleOf(data.runs[index])} ${share.value.toFixed(2)}`);
    setText("heard", told.length ? `Share between images: ${told.join(", ")}.` : "");
  }, 1000);
}

// --- Changes -------------------------------------------------------------------------------------

// Update everything but the images.
function describe() {
  const own = state.noise === "own", shown = state.runs.map((i) => data.runs[i]), first = noiseOf(shown[0]);
  Object.entries({ seed: state.seed, count: state.count, noise: state.noise, mean: first.mean, std: Math.log10(first.std) }).forEach(([id, value]) => { $(id).value = value; });
  $("mean-number").value = Number(first.mean.toPrecision(3));
  $("std-number").value = Number(first.std.toPrecision(3));
  $("std").setAttribute("aria-valuetext", round3(first.std));
  $("epoch").value = epochs.indexOf(state.epoch);
  $("epoch").setAttribute("aria-valuetext", `epoch ${state.epoch}`);
  setText("epoch-number", String(state.epoch));
  $("training").checked = asInTraining();
  setText("training-text", pasted
    ? "Your own vectors are drawn with the means and variances that BatchNorm kept from training."
    : state.training
      ? `The first BatchNorm normalises by the ${BATCH} vectors that are drawn now. Later layers use what they kept from training.`
      : "Every BatchNorm uses the means and variances that it kept from training. Noise that a generator was not trained with is unknown to it.");
  setText("noise-text", own && shown.length > 1
    ? "Each generator gets the noise that it was trained with. The sliders show that of the first; move one, and all get the same noise."
    : own ? "The noise that the generator was trained with." : `The shape of ${first.prior.label}, with the mean and standard deviation of the sliders.`);
  for (const id of ["training", "noise", "mean", "std", "mean-number", "std-number"]) $(id).disabled = Boolean(pasted);
  $("pasted").hidden = !pasted;
  $("figures").hidden = Boolean(pasted);
  document.querySelectorAll("[name=run]").forEach((box) => { box.checked = state.runs.includes(Number(box.value)); });
  setText("lesson-text", lessons().find(({ id }) => id === state.lesson)?.text ?? "Each of these buttons sets everything, and says what to look at.");
  const noises = own
    ? shown.map((run) => ({ ...noiseOf(run), ink: run.ink, label: titleOf(run), norm: run.norm }))
    : [{ ...first, ink: "var(--link)", label: `${first.prior.label}, moved`, norm: "channel" }];
  drawDensity(noises);
  drawTheory(noises.filter(({ norm }) => norm === "channel"));
  describeImage();
}

function change(changes) {
  stop();
  choosesEnd = false;
  const former = firstRun();
  Object.assign(state, changes);
  if (firstRun() !== former && (former.axes.length || firstRun().axes.length)) state.bars = null;  // of other directions
  if (state.from >= state.count) Object.assign(state, { from: 0, at: 0, bars: null });
  state.to = Math.min(state.to, state.count - 1);
  if ("seed" in changes) drawScores();
  applyBars();
  if ("runs" in changes || "count" in changes) layOut();
  describe();
  requestRedraw();
}

let ready = Promise.resolve();  // resolves when everything is drawn
let waits = false;  // a slider moves faster than the screen: one request per frame is enough
let isFirst = true;  // the first grid is seen before the workers have read the other generators

async function drawAll() {
  if (isFirst) await boxes[0].request();
  isFirst = false;
  await Promise.all(boxes.map((box) => box.request()));
  await showImage();
}

function requestRedraw() {
  setText("busy", "drawing");
  if (waits) return;
  waits = true;
  requestAnimationFrame(async () => {
    waits = false;
    const mine = ready = drawAll();
    try {
      await mine;
      if (mine === ready && !waits) setText("busy", "");
    } catch (error) {
      setText("busy", `This browser stopped drawing: ${error.message}.`);
    }
  });
}

// --- Three things to try -------------------------------------------------------------------------

// What the buttons set; those that this page's generators cannot show are left out.
function lessons() {
  const pooled = firstOfKind.filter((i) => data.runs[i].norm === "channel" && !hasMean(data.runs[i]));
  const plain = pooled.find((i) => data.runs[i].prior === "normal(0, 1)") ?? pooled[0];
  const unit = firstOfKind.find((i) => data.runs[i].norm === "unit");
  if (plain === undefined) return [];
  const run = data.runs[plain], noise = { noise: run.prior, training: true };
  const found = [
    { id: "scale", name: "Change the scale", set: { ...noise, runs: [plain], mean: 0, std: 10 * run.std },
      text: "The deviation is ten times that of the training, and the images are as varied as before. Drag the deviation: nothing changes, because BatchNorm divides by it." },
    { id: "mean", name: "Move the mean", set: { ...noise, runs: [plain], mean: 2 * run.std, std: run.std },
      text: "The mean is now twice the deviation. Drag the mean from 0 to 5, and watch the bar: what all vectors have in common drowns their differences, and the images grow alike." },
  ];
  if (unit !== undefined) {
    found.push({ id: "cure", name: "Cure it", set: { ...noise, runs: [plain, unit], mean: 2 * run.std, std: run.std },
      text: `The same mean, two generators. The first BatchNorm of “${titleOf(data.runs[unit])}” normalises each unit alone, which takes the mean away as well. Drag the mean: one grid grows alike, the other does not.` });
  }
  return found;
}

for (const { id, name, set } of lessons()) {
  $("lessons").append(element("button", { type: "button", id: `try-${id}`, textContent: name, onclick: () => {
    forgetPasted();
    change({ ...start(), ...set, runs: ordered.filter((i) => set.runs.includes(i)), seed: state.seed, lesson: id });
  } }));
}
$("lessons").append(element("button", { type: "button", id: "reset", textContent: "Reset", onclick: () => { forgetPasted(); change(start()); } }));
$("try").hidden = false;

// --- Wiring --------------------------------------------------------------------------------------

function explicit() {
  if (state.noise !== "own") return {};
  const { prior, mean, std } = noiseOf(firstRun());
  return { noise: prior.spec, mean, std };
}

const aboutOf = (run) => `${run.collection}, ${run.architecture} of width ${run.width}, ${run.epochs.at(-1)} epochs`;
const abouts = new Set(data.runs.map(aboutOf));

for (const prior of priors) {
  const text = `${prior.label}: mean ${round3(prior.mean)}, standard deviation ${round3(prior.std)}`;
  $("noise").append(element("option", { value: prior.spec, textContent: text }));
}
for (const [name, belongs] of GROUPS) {
  const some = ordered.filter((i) => belongs(data.runs[i]));
  if (some.length) $("runs").append(element("p", { className: "group", textContent: name }));
  for (const i of some) {
    const run = data.runs[i];
    const box = element("input", { type: "checkbox", name: "run", value: i, onchange: () => {
      const runs = ordered.filter((k) => document.querySelector(`[name=run][value="${k}"]`).checked);
      if (pasted && runs.some((k) => data.runs[k].noiseSize !== pasted[0].length)) forgetPasted("That generator needs vectors of another length: back to the seed.");
      change({ runs: runs.length ? runs : state.runs });
    } });
    const text = abouts.size > 1 ? `${titleOf(run)} (${aboutOf(run)})` : titleOf(run);
    $("runs").append(element("label", {}, box, marked(run), text));
  }
}
if (abouts.size === 1) $("runs").append(element("p", { className: "soft", textContent: [...abouts][0] }));
$("runs-of").hidden = data.runs.length < 2;
$("training").parentElement.hidden = $("training-text").hidden = data.runs.every((run) => run.norm === null);
$("epoch-row").hidden = epochs.length < 2;
$("epoch").max = epochs.length - 1;
$("share-legend").hidden = data.runs.every((run) => run.realShare === null);

$("training").onchange = ({ target }) => change({ training: target.checked });
$("epoch").oninput = ({ target }) => change({ epoch: epochs[target.value] });
$("seed").onchange = ({ target }) => { forgetPasted(); change({ seed: Math.round(within(target.value, 0, 4294967295, state.seed)), bars: null }); };
$("another").onclick = () => { forgetPasted(); change({ seed: (state.seed + 1) >>> 0, bars: null }); };
$("count").onchange = ({ target }) => { forgetPasted(); change({ count: Number(target.value) }); };
$("noise").onchange = ({ target }) => {
  const prior = priorOf(target.value);
  change(prior ? { noise: prior.spec, mean: prior.mean, std: prior.std } : { noise: "own" });
};
$("mean").oninput = ({ target }) => change({ ...explicit(), mean: Number(target.value) });
$("std").oninput = ({ target }) => change({ ...explicit(), std: 10 ** Number(target.value) });
$("mean-number").onchange = ({ target }) => change({ ...explicit(), mean: within(target.value, -MEANS, MEANS, noiseOf(firstRun()).mean) });
$("std-number").onchange = ({ target }) => change({ ...explicit(), std: within(target.value, NARROWEST, WIDEST, noiseOf(firstRun()).std) });
for (const [id, low, high] of [["mean-number", -MEANS, MEANS], ["std-number", NARROWEST, WIDEST]]) Object.assign($(id), { min: low, max: high });

$("at").oninput = ({ target }) => { stop(); moveTo(Number(target.value)); };
$("walk-to").onclick = () => { choosesEnd = !choosesEnd; describeImage(); };
$("unedit").onclick = () => change({ bars: null });
$("play").onclick = play;
$("save-grid").onclick = async () => { await ready; save(await asPng(allGrids()), fileName("images", "png")); };
$("save-still").onclick = async () => { await showImage(); save(await asPng(largeImages().canvas), fileName("image", "png")); };
$("save-walk").onclick = saveWalk;
$("give").onclick = () => { $("json").value = JSON.stringify(vectorsNow()); $("json-text").textContent = `The vectors of ${titleOf(firstRun())}, one per image.`; };
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

readAddress();
change({ ...state });

// For tests and for the browser's console.
window.playground = { drawBatch, vectorOf: (index, i) => Array.from(vectorOf(data.runs[index], i)) };
