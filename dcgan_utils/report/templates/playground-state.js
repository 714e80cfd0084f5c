// --- What is shown: kept in the address -----------------------------------------------------------

const BATCH = 64;  // vectors that the first BatchNorm normalises by, shown or not
const COUNTS = [4, 16, 36, 64];

// The noises of the first study: mean zero by their deviation, then the others.
const STUDY = ["normal(0, 0.1)", "normal(0, 1)", "uniform(-1, 1)", "normal(0, 10)", "normal(-1, 1)", "normal(1, 1)", "gamma(2, 1)"];
const MAKE_THE_POINT = ["normal(0, 0.1)", "normal(0, 1)", "normal(0, 10)", "normal(1, 1)", "gamma(2, 1)"];

const rank = ({ prior }) => (STUDY.indexOf(prior) + 1 || STUDY.length + 1);
const hasMean = (run) => Math.abs(run.mean) > 1e-6 * run.std;
const ordered = data.runs.map((_, index) => index).sort((one, other) => {
  const [a, b] = [data.runs[one], data.runs[other]];
  return hasMean(a) - hasMean(b) || rank(a) - rank(b) || (a.norm === "unit") - (b.norm === "unit") || one - other;
});
const firstOfKind = ordered.filter((index, place) => ordered.findIndex((i) => data.runs[i].label === data.runs[index].label) === place);

function shownAtFirst() {
  const point = firstOfKind.filter((index) => MAKE_THE_POINT.includes(data.runs[index].prior));
  return point.length > 1 ? point : firstOfKind.slice(0, 4);
}

const epochs = [...new Set(data.runs.flatMap((run) => run.epochs))].sort((a, b) => a - b);

const start = () => ({
  lesson: "", training: true, runs: shownAtFirst(), epoch: epochs.at(-1), noise: "own", mean: 0, std: 1,
  seed: 0, count: 16, from: 0, to: 1, at: 0, bars: null,
});
let state = start();
let pasted = null;  // latent vectors from the text box
let scores = [];  // one vector of N(0, 1) per image
let edited = null;  // the vector of image `from`, if its bars were moved

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
  const runs = (given.get("runs") ?? "").split(".").filter(Boolean).map(Number);
  const noise = priorOf(given.get("noise"));
  const count = COUNTS.includes(Number(given.get("count"))) ? Number(given.get("count")) : defaults.count;
  const epoch = Number(given.get("epoch"));
  const shown = ordered.filter((index) => runs.includes(index));
  const bars = (given.get("bars") ?? "").split("_").map(Number);
  state = {
    lesson: given.get("lesson") ?? "",
    training: given.get("training") !== "false",
    runs: shown.length ? shown : defaults.runs,
    epoch: epochs.includes(epoch) ? epoch : defaults.epoch,
    noise: noise ? noise.spec : "own",
    mean: within(given.get("mean"), -MEANS, MEANS, noise ? noise.mean : 0),
    std: within(given.get("std"), NARROWEST, WIDEST, noise ? noise.std : 1),
    seed: whole("seed", 4294967295),
    count,
    from: whole("from", count - 1),
    to: whole("to", count - 1),
    at: whole("at", 100),
    bars: given.get("bars") && bars.every(Number.isFinite) ? bars : null,
  };
}

// Browsers refuse an address that changes many times per second, so this waits for a pause.
let addressTimer = null;
function writeAddress() {
  clearTimeout(addressTimer);
  addressTimer = setTimeout(writeAddressNow, 300);
}

function writeAddressNow() {
  clearTimeout(addressTimer);
  const kept = { ...state, runs: state.runs.join("."), bars: state.bars?.map((bar) => Number(bar.toFixed(3))).join("_") };
  if (state.noise === "own") ["mean", "std"].forEach((name) => delete kept[name]);
  for (const name of ["lesson", "bars"]) if (!kept[name]) delete kept[name];
  try {
    history.replaceState(null, "", `#${new URLSearchParams(kept)}`);
  } catch {
    writeAddress();
  }
}

// --- The latent vectors of what is shown ----------------------------------------------------------

const longest = Math.max(...data.runs.map((run) => run.noiseSize));
const firstRun = () => data.runs[state.runs[0]];

function drawScores() {
  const flat = normalScores(BATCH * longest, state.seed);
  scores = Array.from({ length: BATCH }, (_, i) => flat.subarray(i * longest, (i + 1) * longest));
}

// Values of N(0, 1), which the noise of each generator transforms; or the vectors that were brought.
const numbersOf = (i) => (i === state.from && edited) || (pasted ?? scores)[i];

// Move the bars of the chosen image to where the state says.
function applyBars() {
  edited = null;
  const run = firstRun(), whole = numbersOf(state.from), part = whole.subarray(0, run.noiseSize);
  if (state.bars?.length !== barsOf(run, part).length) state.bars = null;
  if (!state.bars) return;
  const moved = Float32Array.from(whole);
  moved.set(withBars(run, part, state.bars));
  edited = moved;
}

// The noise that a run gets now.
function noiseOf(run) {
  const prior = priorOf(state.noise === "own" ? run.prior : state.noise);
  return state.noise === "own" ? { prior, mean: prior.mean, std: prior.std } : { ...state, prior };
}

const latentOf = (run, numbers) => pasted ? numbers : transform(numbers.subarray(0, run.noiseSize), noiseOf(run));
const vectorOf = (run, i) => latentOf(run, numbersOf(i));

// The numbers on the way from one image to the other, `part` of 0 to 1.
function numbersAt(part, size) {
  const [one, other] = [state.from, state.to].map((i) => numbersOf(i).subarray(0, size));
  if (part === 0 || part === 1) return part ? other : one;
  return (pasted ? lerp : slerp)(one, other, part);
}

// All vectors of the batch, one after the other.
function flatten(run, vectors) {
  const flat = new Float32Array(vectors.length * run.noiseSize);
  vectors.forEach((vector, i) => flat.set(vector, i * run.noiseSize));
  return flat;
}

const everyImage = Array.from({ length: BATCH }, (_, i) => i);
const batchOf = (run) => flatten(run, everyImage.map((i) => vectorOf(run, i)));

// The batch in which a vector takes the place of the chosen image; it comes first.
const batchWith = (run, vector) => flatten(run, [vector, ...everyImage.filter((i) => i !== state.from).map((i) => vectorOf(run, i))]);

// Vectors that somebody brings are no batch: they are drawn with the statistics kept from training.
const asInTraining = () => state.training && !pasted;
const epochOf = (run) => run.epochs.findLast((epoch) => epoch <= state.epoch) ?? run.epochs[0];

// What theory leaves of the first layer's variance for the differences between images.
const theoryOf = ({ mean, std }, norm) => norm === "channel" ? 1 / (1 + (mean / std) ** 2) : norm === "unit" ? 1 : null;
