// A generator as transposed convolutions. Feature maps are flat Float32Arrays: row, column, channel.

// Half precision: sign, five bits of exponent, ten of fraction.
function fromHalf(bits) {
  const sign = bits >> 15 ? -1 : 1, exponent = (bits >> 10) & 31, fraction = bits & 1023;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

const HALVES = Float32Array.from({ length: 65536 }, (_, bits) => fromHalf(bits));

function unpack(text) {
  const bytes = atob(text), numbers = new Float32Array(bytes.length / 2);
  for (let i = 0; i < numbers.length; i++) {
    numbers[i] = HALVES[bytes.charCodeAt(2 * i) | (bytes.charCodeAt(2 * i + 1) << 8)];
  }
  return numbers;
}

function readRun(run) {
  const numbers = unpack(run.numbers);
  let at = 0;
  const take = (count) => numbers.subarray(at, (at += count));
  const layers = run.layers.map((layer) => ({
    ...layer,
    weight: take(layer.kernel ** 2 * layer.before * layer.after),
    bias: take(layer.biases),
  }));
  return { layers, mean: run.mean, std: run.std };
}

// Each input value is spread over the kernel's window; ReLU makes many of them 0, which cost nothing.
function convolve(input, before, layer) {
  const { kernel, stride, padding, side, weight, bias, after } = layer;
  const out = new Float32Array(side * side * after), inputs = layer.before;
  for (let at = 0; at < out.length; at += bias.length) out.set(bias, at);
  for (let row = 0; row < before; row++) {
    for (let column = 0; column < before; column++) {
      const from = (row * before + column) * inputs;
      for (let down = 0; down < kernel; down++) {
        const y = row * stride - padding + down;
        if (y < 0 || y >= side) continue;
        for (let right = 0; right < kernel; right++) {
          const x = column * stride - padding + right;
          if (x < 0 || x >= side) continue;
          const to = (y * side + x) * after, tap = (down * kernel + right) * inputs;
          for (let channel = 0; channel < inputs; channel++) {
            const value = input[from + channel];
            if (value === 0) continue;
            const w = (tap + channel) * after;
            for (let o = 0; o < after; o++) out[to + o] += value * weight[w + o];
          }
        }
      }
    }
  }
  const activate = layer.activation === "relu" ? (x) => Math.max(0, x) : Math.tanh;
  return out.map(activate);
}

// Latent vector in, RGBA bytes of a square image out.
function draw({ layers, mean, std }, vector) {
  // The first layer takes standardized vectors, as 16 bits cannot hold tiny or huge weights.
  let input = Float32Array.from(vector, (value) => (value - mean) / std), side = 1;
  for (const layer of layers) {
    input = convolve(input, side, layer);
    side = layer.side;
  }
  const pixels = new Uint8ClampedArray(side * side * 4);
  for (let p = 0; p < side * side; p++) {
    for (let c = 0; c < 3; c++) pixels[4 * p + c] = Math.round((input[3 * p + c] + 1) * 127.5);
    pixels[4 * p + 3] = 255;
  }
  return pixels;
}

// A worker receives each generator once, and then draws one vector at a time.
const known = new Map();
self.onmessage = ({ data: { index, run, vector } }) => {
  if (run) known.set(index, readRun(run));
  const pixels = draw(known.get(index), vector);
  self.postMessage({ pixels }, [pixels.buffer]);
};
