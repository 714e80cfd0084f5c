// --- One image: large, its numbers, and the walk to another -----------------------------------------

const SECONDS = 2;  // from one image to the other
let playing = null;
let choosesEnd = false;  // whether the next click on an image chooses where the walk ends

const numbersNow = (run) => numbersAt(state.at / 100, run.noiseSize);

async function drawImage({ index, large }) {
  const run = data.runs[index], vectors = batchWith(run, latentOf(run, numbersNow(run)));
  const drawn = await drawBatch(index, vectors, { epoch: epochOf(run), shown: 1, training: asInTraining() });
  if (drawn) paint(large, drawn.pixels);
}

const showImage = newestFirst(() => Promise.all(boxes.map(drawImage)));

function describeImage() {
  setText("choose-text", choosesEnd ? "Now choose the image where the walk ends." : "");
  $("walk-to").setAttribute("aria-pressed", choosesEnd);
  $("unedit").hidden = !state.bars;
  document.querySelectorAll(".image").forEach((button) => {
    const i = Number(button.dataset.number);
    const isChosen = i === state.from, isEnd = i === state.to && !isChosen;
    button.tabIndex = isChosen ? 0 : -1;
    button.setAttribute("aria-pressed", isChosen);
    button.setAttribute("aria-label", `${button.dataset.name}${isEnd ? ", where the walk ends" : ""}`);
    button.classList.toggle("end", isEnd);
  });
  describePlace();
}

function describePlace() {
  writeAddress();
  const { from, to, at } = state;
  const place = at === 0 || from === to ? `Image ${from + 1}` : `${at} % of the way from image ${from + 1} to image ${to + 1}`;
  $("at").value = at;
  $("at").setAttribute("aria-valuetext", place);
  setText("at-text", place);
  describeBars();
}

// --- Bars ---

function describeBars() {
  const run = firstRun(), bars = barsOf(run, numbersNow(run));
  if ($("bars").children.length !== bars.length) $("bars").replaceChildren(...bars.map((_, k) => bar(k)));
  const reach = Math.max(3, ...bars.map(Math.abs));
  [...$("bars").children].forEach((input, k) => {
    Object.assign(input, { min: -reach, max: reach, value: bars[k] });
    input.setAttribute("aria-valuetext", round3(bars[k]));
    const [low, high] = [Math.min(0, bars[k]), Math.max(0, bars[k])].map((value) => `${50 + (50 * value) / reach}%`);
    input.style.setProperty("--low", low);
    input.style.setProperty("--high", high);
  });
  setText("bars-text", run.axes.length
    ? `Of ${run.noiseSize} numbers, the ${bars.length} directions that change the first layer of ${titleOf(run)} most.`
    : `Its ${bars.length} numbers${pasted ? "" : ", in standard deviations from the mean"}. Drag one: nearly the same numbers, nearly the same image.`);
}

function bar(k) {
  const name = firstRun().axes.length ? `Direction ${k + 1}` : `Number ${k + 1}`;
  return element("input", { type: "range", step: 0.01, title: name, ariaLabel: name, oninput: ({ target }) => {
    const run = firstRun(), bars = barsOf(run, numbersNow(run));
    bars[k] = Number(target.value);
    change({ bars, at: 0 });
  } });
}

// --- Choosing: a click shows an image, a drag from one to another walks there ---

function choose(i) {
  if (choosesEnd) return walk(state.from, i);
  change({ from: i, at: 0, bars: null });
}

function walk(from, to) {
  change({ from, to, at: 0, bars: from === state.from ? state.bars : null });
  if (from !== to && !matchMedia("(prefers-reduced-motion: reduce)").matches) play();
}

const imageAt = (event) => document.elementFromPoint(event.clientX, event.clientY)?.closest(".image");

function dragsToWalk(grid) {
  let begun = null;
  const aim = (image) => document.querySelectorAll(".image.aim").forEach((one) => one !== image && one.classList.remove("aim"));
  grid.onpointerdown = (event) => { begun = event.target.closest(".image"); };
  grid.onpointermove = (event) => {
    if (!begun) return;
    const image = imageAt(event);
    aim(image);
    if (image && image !== begun) image.classList.add("aim");
  };
  grid.onpointercancel = grid.onpointerleave = () => { begun = null; aim(null); };
  grid.onpointerup = (event) => {
    const image = begun && imageAt(event);
    if (image && image !== begun) walk(Number(begun.dataset.number), Number(image.dataset.number));
    begun = null;
    aim(null);
  };
}

// --- Playing ---

function moveTo(at) {
  state.at = at;
  describePlace();
  return showImage();
}

function stop() {
  cancelAnimationFrame(playing);
  playing = null;
  setText("play", "Play");
}

// Once to the other end; from there, back.
function play() {
  if (playing) return stop();
  $("play").textContent = "Stop";
  const [first, last] = state.at < 100 ? [state.at, 100] : [100, 0];
  let begun = null;
  const turn = (now) => {
    begun ??= now;
    const gone = (100 * (now - begun)) / (1000 * SECONDS), left = Math.abs(last - first);
    moveTo(Math.round(first + Math.sign(last - first) * Math.min(gone, left)));
    if (gone < left) playing = requestAnimationFrame(turn);
    else stop();
  };
  playing = requestAnimationFrame(turn);
}

// --- Saving ---

function save(blob, name) {
  const link = element("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

const asPng = (canvas) => new Promise((done) => canvas.toBlob(done, "image/png"));
const fileName = (what, ending) => `${firstRun().collection}-${what}-${pasted ? "own-vectors" : `seed-${state.seed}`}.${ending}`;

// All grids in one image, each below its run's name.
function allGrids() {
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

// The large images of all generators, side by side.
function largeImages() {
  const side = Math.max(256, ...boxes.map(({ large }) => large.width));
  const canvas = element("canvas", { width: boxes.length * side, height: side });
  const pen = canvas.getContext("2d");
  const draw = () => boxes.forEach(({ large }, k) => pen.drawImage(large, k * side, 0, side, side));
  draw();
  return { canvas, draw };
}

// The walk there and back as a video; its bit rate keeps it below 1 MB.
async function saveWalk() {
  const button = $("save-walk"), label = button.textContent, frames = 30 * SECONDS, chunks = [];
  const type = ["video/webm", "video/mp4"].find((one) => window.MediaRecorder?.isTypeSupported(one));
  if (!type) return setText("choose-text", "This browser cannot record a video.");
  stop();
  button.disabled = true;
  const before = state.at, { canvas, draw } = largeImages();
  const recorder = new MediaRecorder(canvas.captureStream(30), { mimeType: type, videoBitsPerSecond: 1_500_000 });
  recorder.ondataavailable = ({ data: chunk }) => chunks.push(chunk);
  const ended = new Promise((done) => { recorder.onstop = done; });
  try {
    recorder.start();
    for (let frame = 0; frame <= 2 * frames; frame++) {
      const begun = performance.now();
      button.textContent = `${Math.round((50 * frame) / frames)} %`;
      await moveTo(Math.round(100 * (1 - Math.abs(frame - frames) / frames)));
      draw();
      await new Promise((done) => setTimeout(done, 1000 / 30 - (performance.now() - begun)));
    }
    recorder.stop();
    await ended;
    save(new Blob(chunks, { type }), fileName("walk", type.slice(6)));
  } finally {
    moveTo(before);
    button.textContent = label;
    button.disabled = false;
  }
}

// --- Vectors as JSON ---

const vectorsNow = () => Array.from({ length: state.count }, (_, i) => Array.from(vectorOf(firstRun(), i), (value) => Number(value.toPrecision(9))));

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
    const count = COUNTS.find((n) => n >= found.length) ?? BATCH;
    pasted = Array.from({ length: BATCH }, (_, i) => Float32Array.from(found[i % found.length]));
    change({ count, bars: null });
    const many = found.length === 1 ? "One vector" : `${Math.min(count, found.length)} vectors`;
    const more = found.length < count ? ", repeated until the grid is full" : found.length > count ? `, the first of ${found.length}` : "";
    $("json-text").textContent = `${many}${more}, the same for every generator.`;
  } catch (error) {
    $("json-text").textContent = error.message;
  }
}

function forgetPasted(why = "") {
  if (pasted) state.bars = null;
  pasted = null;
  $("json-text").textContent = why;
}
