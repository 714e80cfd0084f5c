// Generators in a worker: latent vectors in, images out. Feature maps are image, row, column,
// channel; channels are padded to a multiple of four, since the kernel computes four at a time.

const LANES = 4, EPSILON = 1e-5, MOST_INPUTS = 8192;
const CHUNK = 8;  // images that go through the later layers together
const padded = (count) => Math.ceil(count / LANES) * LANES;

// --- Numbers of the page -----------------------------------------------------------------------

function bytesOf(text) {
  const letters = atob(text), bytes = new Uint8Array(letters.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = letters.charCodeAt(i);
  return bytes;
}

// Numbers of a typed array's kind, which the page holds as gzip.
async function unzip(text, Kind) {
  const stream = new Blob([bytesOf(text)]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Kind(await new Response(stream).arrayBuffer());
}

// A 3x3 convolution after upsampling is a 4x4 transposed one: its kernel, blurred by a 2x2 box.
function blurred(weight, size) {
  const out = new Float32Array(16 * size);
  for (let row = 0; row < 4; row++) {
    for (let column = 0; column < 4; column++) {
      for (const down of [row - 1, row]) {
        for (const right of [column - 1, column]) {
          if (down < 0 || down > 2 || right < 0 || right > 2) continue;
          const to = (row * 4 + column) * size, from = (down * 3 + right) * size;
          for (let i = 0; i < size; i++) out[to + i] += weight[from + i] / 2;
        }
      }
    }
  }
  return out;
}

// --- The kernel --------------------------------------------------------------------------------

// The same as playground-kernel.c, for browsers that have no vectors in WebAssembly.
function scriptKernel(heap) {
  return (...places) => {
    const [input, out, weight, bias] = places.map((place) => place / 4);
    const [images, before, side, kernel, stride, padding, inputs, outputs, relu] = places.slice(5);
    const numbers = heap(), sums = new Float32Array(outputs);
    for (let image = 0; image < images; image++) {
      for (let y = 0; y < side; y++) {
        for (let x = 0; x < side; x++) {
          sums.set(numbers.subarray(bias, bias + outputs));
          for (let down = (y + padding) % stride; down < kernel; down += stride) {
            const row = (y + padding - down) / stride;
            if (row < 0 || row >= before) continue;
            for (let right = (x + padding) % stride; right < kernel; right += stride) {
              const column = (x + padding - right) / stride;
              if (column < 0 || column >= before) continue;
              const from = input + ((image * before + row) * before + column) * inputs;
              for (let i = 0; i < inputs; i++) {
                const value = numbers[from + i];
                if (value === 0) continue;  // as ReLU makes many
                let w = weight + ((down * kernel + right) * inputs + i) * LANES;
                for (let o = 0; o < outputs; w += kernel * kernel * inputs * LANES, o += LANES) {
                  sums[o] += value * numbers[w];
                  sums[o + 1] += value * numbers[w + 1];
                  sums[o + 2] += value * numbers[w + 2];
                  sums[o + 3] += value * numbers[w + 3];
                }
              }
            }
          }
          const to = out + ((image * side + y) * side + x) * outputs;
          for (let o = 0; o < outputs; o++) numbers[to + o] = relu ? Math.max(0, sums[o]) : sums[o];
        }
      }
    }
  };
}

let memory, kernel, zeros, end;  // `end` is that of what is in the memory, in bytes
let numbers = new Float32Array();

function heap() {
  if (numbers.buffer !== memory.buffer) numbers = new Float32Array(memory.buffer);
  return numbers;
}

function prepare(binary) {
  try {
    const { exports } = new WebAssembly.Instance(new WebAssembly.Module(bytesOf(binary)));
    [memory, kernel, end] = [exports.memory, exports.layer, exports.__heap_base.value];
  } catch {
    memory = new WebAssembly.Memory({ initial: 1 });
    [kernel, end] = [scriptKernel(heap), 16];
  }
  zeros = reserve(MOST_INPUTS);
}

// Room for so many floats, which are 0.
function reserve(count) {
  const start = Math.ceil(end / 16) * 16;
  end = start + 4 * count;
  const pages = Math.ceil((end - memory.buffer.byteLength) / 65536);
  if (pages > 0) memory.grow(pages);
  return start;
}

function store(values) {
  const start = reserve(values.length);
  heap().set(values, start / 4);
  return start;
}

// --- Generators --------------------------------------------------------------------------------

// The kernel's order: blocks of four outputs, tap, input, output within the block.
function inBlocks(weight, taps, before, after, inputs) {
  const outputs = padded(after), out = new Float32Array(taps * inputs * outputs);
  for (let tap = 0; tap < taps; tap++) {
    for (let i = 0; i < before; i++) {
      for (let o = 0; o < after; o++) {
        const block = Math.floor(o / LANES) * taps + tap;
        out[(block * inputs + i) * LANES + (o % LANES)] = weight[(tap * before + i) * after + o];
      }
    }
  }
  return out;
}

// The first layer as a matrix product: its 4x4 places are outputs like others.
function asProduct(weight, { before, after }) {
  const out = new Float32Array(weight.length);
  for (let place = 0; place < 16; place++) {
    for (let i = 0; i < before; i++) {
      const from = (place * before + i) * after;
      out.set(weight.subarray(from, from + after), (i * 16 + place) * after);
    }
  }
  return out;
}

async function readGenerator(run, state) {
  const codes = await unzip(state.weights, state.bits === 8 ? Int8Array : Int16Array);
  const rest = await unzip(state.rest, Float32Array);
  let code = 0, number = 0;
  const take = (count) => rest.subarray(number, (number += count));
  const norm = run.norm && Object.fromEntries(["factor", "summand", "mean", "variance"].map((name) => [name, take(run.normed)]));
  const layers = run.layers.map((layer, i) => {
    const count = layer.kernel ** 2 * layer.before * layer.after;
    const units = take(layer.after);  // of each output channel: a weight is a multiple of it
    let weight = new Float32Array(codes.subarray(code, (code += count))).map((one, k) => one * units[k % layer.after]);
    const bias = take(layer.biases);
    if (i === 0) {
      const outputs = 16 * layer.after, product = asProduct(weight, layer);
      const blocks = inBlocks(product, 1, layer.before, outputs, layer.before);
      const one = { before: 1, side: 1, kernel: 1, stride: 1, padding: 0, relu: norm ? 0 : 1 };
      return { ...one, inputs: layer.before, outputs, weight: store(blocks), bias: store(bias) };
    }
    if (layer.blurred) weight = blurred(weight, layer.before * layer.after);
    const size = layer.blurred ? 4 : layer.kernel, inputs = padded(layer.before), outputs = padded(layer.after);
    const blocks = inBlocks(weight, size ** 2, layer.before, layer.after, inputs);
    const { stride, padding, side } = layer, { side: before } = run.layers[i - 1];
    const own = { before, side, kernel: size, stride, padding, relu: i < run.layers.length - 1 ? 1 : 0 };
    return { ...own, inputs, outputs, weight: store(blocks), bias: store([...bias, 0, 0, 0]) };
  });
  return { layers, norm, mean: run.mean, std: run.std };
}

const rooms = new Map();  // places in the memory that every image uses again

function roomFor(name, count) {
  if (!(rooms.get(name)?.count >= count)) rooms.set(name, { start: reserve(count), count });
  return rooms.get(name).start;
}

function compute(layer, from, to, images) {
  const { weight, bias, before, side, kernel: size, stride, padding, inputs, outputs, relu } = layer;
  kernel(from, to, weight, bias, zeros, images, before, side, size, stride, padding, inputs, outputs, relu);
}

// BatchNorm of the first feature maps and ReLU, in place. In training it takes mean and (biased)
// variance from the batch: of a channel over all images and places, or of each unit over images.
function normalise(values, norm, training) {
  const kinds = norm.mean.length, rows = values.length / kinds;
  let { mean, variance } = norm;
  if (training) {
    mean = new Float64Array(kinds);
    variance = new Float64Array(kinds);
    for (let i = 0; i < values.length; i++) mean[i % kinds] += values[i] / rows;
    for (let i = 0; i < values.length; i++) variance[i % kinds] += (values[i] - mean[i % kinds]) ** 2 / rows;
  }
  const factor = norm.factor.map((value, k) => value / Math.sqrt(variance[k] + EPSILON));
  const summand = norm.summand.map((value, k) => value - mean[k] * factor[k]);
  for (let i = 0; i < values.length; i++) {
    values[i] = Math.max(0, values[i] * factor[i % kinds] + summand[i % kinds]);
  }
}

// Latent vectors in, one after the other; RGBA bytes of those from `first` up to `last` out.
function draw({ layers, norm, mean, std }, vectors, { first, last, training }) {
  const [start, ...later] = layers, count = vectors.length / start.inputs;
  const input = roomFor("vectors", vectors.length), maps = roomFor("maps", count * start.outputs);
  const most = Math.max(...later.map((layer) => CHUNK * layer.side ** 2 * layer.outputs));
  const halves = [roomFor("one", most), roomFor("other", most)];
  // The first layer takes standardized vectors: a mean would multiply the rounding of its weights.
  heap().set(vectors.map((value) => (value - mean) / std), input / 4);
  compute(start, input, maps, count);
  if (norm) normalise(heap().subarray(maps / 4, maps / 4 + count * start.outputs), norm, training);
  const size = later.at(-1).side ** 2 * LANES, pixels = new Uint8ClampedArray((last - first) * size);
  for (let at = first; at < last; at += CHUNK) {
    const images = Math.min(CHUNK, last - at);
    let from = maps + 4 * at * start.outputs;
    later.forEach((layer, i) => {
      compute(layer, from, halves[i % 2], images);
      from = halves[i % 2];
    });
    const drawn = heap().subarray(from / 4, from / 4 + images * size), to = (at - first) * size;
    for (let i = 0; i < drawn.length; i++) {
      pixels[to + i] = i % LANES === 3 ? 255 : Math.round((Math.tanh(drawn[i]) + 1) * 127.5);
    }
  }
  return pixels;
}

// A worker receives the kernel first, and each generator of an epoch before its first images.
const generators = new Map();
self.onmessage = async ({ data: { binary, ticket, name, run, state, vectors, ...how } }) => {
  if (binary !== undefined) return prepare(binary);
  if (run) generators.set(name, readGenerator(run, state));
  try {
    const pixels = draw(await generators.get(name), vectors, how);
    self.postMessage({ ticket, pixels }, [pixels.buffer]);
  } catch (error) {
    self.postMessage({ ticket, failed: error.message });
  }
};
