// --- Drawing in workers ------------------------------------------------------------------------

const $ = (id) => document.getElementById(id);

const engine = URL.createObjectURL(new Blob([$("engine").textContent], { type: "text/javascript" }));
const workers = Array.from({ length: Math.min(4, Math.max(1, navigator.hardwareConcurrency || 1)) }, () => {
  const worker = { thread: new Worker(engine), known: new Set(), jobs: new Map() };
  worker.thread.postMessage({ binary: $("kernel").textContent });
  worker.thread.onmessage = ({ data: { ticket, pixels, failed } }) => {
    const job = worker.jobs.get(ticket);
    worker.jobs.delete(ticket);
    pixels ? job.done(pixels) : job.failed(new Error(failed));
  };
  worker.thread.onerror = (event) => {
    const reason = new Error(event.message || "no reason given");
    worker.jobs.forEach(({ failed }) => failed(reason));
    worker.jobs.clear();
  };
  return worker;
});
let tickets = 0;

// Earlier epochs stand at the end of the page, so that the last is drawn before they are read.
const whole = new Promise((done) => {
  document.readyState === "loading" ? addEventListener("DOMContentLoaded", done) : done();
});
let earlier = null;

async function stateOf(index, epoch) {
  const { epochs, state } = data.runs[index], place = epochs.indexOf(epoch);
  if (place === epochs.length - 1) return state;
  earlier ??= whole.then(() => JSON.parse($("earlier").textContent));
  return (await earlier)[index][place];
}

function ask(worker, index, epoch, state, vectors, how) {
  const name = `${index}:${epoch}`, ticket = ++tickets, job = { ticket, name, vectors, ...how };
  if (!worker.known.has(name)) {
    const { state: last, real, ...run } = data.runs[index];
    Object.assign(job, { run, state });
    worker.known.add(name);
  }
  return new Promise((done, failed) => {
    worker.jobs.set(ticket, { done, failed });
    worker.thread.postMessage(job);
  });
}

// The share of the variance that lies between images, as the package computes it: unbiased, so
// that few images can be compared with many.
function shareBetween(pixels, images) {
  const size = pixels.length / images;
  let sum = 0;
  for (let channel = 0; channel < 3; channel++) {
    const means = new Float64Array(images);  // of each image
    for (let image = 0; image < images; image++) {
      for (let i = channel; i < size; i += 4) means[image] += pixels[image * size + i] / (size / 4);
    }
    let between = 0, shared = 0;
    for (let i = channel; i < size; i += 4) {
      let value = 0, square = 0, pattern = 0, patterns = 0;
      for (let image = 0; image < images; image++) {
        const found = pixels[image * size + i], without = found - means[image];
        value += found;
        square += found * found;
        pattern += without;
        patterns += without * without;
      }
      const variance = (patterns - pattern * pattern / images) / (images - 1);
      between += (square - value * value / images) / (images - 1);
      shared += (pattern / images) ** 2 - variance / images;
    }
    sum += between > 0 ? between / (between + Math.max(0, shared)) / 3 : 0;
  }
  return sum;
}

// Draw the first `shown` of a batch of latent vectors, one after the other in a Float32Array.
// Workers share the images; each computes the first layer of the whole batch, which is little.
async function drawBatch(index, vectors, { epoch, shown, training }) {
  const run = data.runs[index], parts = Math.min(workers.length, Math.ceil(shown / 4));
  const state = await stateOf(index, epoch);
  const drawn = await Promise.all(workers.slice(0, parts).map((worker, i) => {
    const [first, last] = [i, i + 1].map((k) => Math.round((k * shown) / parts));
    return ask(worker, index, epoch, state, vectors, { first, last, training });
  }));
  const pixels = new Uint8ClampedArray(drawn.reduce((sum, part) => sum + part.length, 0));
  drawn.reduce((at, part) => (pixels.set(part, at), at + part.length), 0);
  const share = run.realShare && shown > 1 ? shareBetween(pixels, shown) / run.realShare : null;
  return { pixels, share };
}
