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

// Spherical interpolation, which suits vectors of N(0, 1).
function slerp(one, other, part) {
  const cosine = dot(one, other) / (Math.hypot(...one) * Math.hypot(...other));
  const angle = Math.acos(Math.min(1, Math.max(-1, cosine)));
  if (!(Math.sin(angle) > 1e-4)) return lerp(one, other, part);
  const [a, b] = [Math.sin((1 - part) * angle), Math.sin(part * angle)].map((x) => x / Math.sin(angle));
  return one.map((value, i) => a * value + b * other[i]);
}

const lerp = (one, other, part) => one.map((value, i) => value + part * (other[i] - value));
const dot = (one, other) => one.reduce((sum, value, i) => sum + value * other[i], 0);

// --- A vector as at most 16 bars ------------------------------------------------------------------

// The bars are a vector's numbers; of a longer one its parts along the orthonormal directions that
// change the first layer's output most.
for (const run of data.runs) {
  const flat = run.directions ? decode(run.directions) : [];
  run.axes = Array.from({ length: flat.length / run.noiseSize }, (_, k) => flat.subarray(k * run.noiseSize, (k + 1) * run.noiseSize));
}

const barsOf = (run, vector) => run.axes.length ? run.axes.map((axis) => dot(axis, vector)) : Array.from(vector);

// The same vector with other bars; what the bars do not show stays.
function withBars(run, vector, bars) {
  if (!run.axes.length) return Float32Array.from(bars);
  const former = barsOf(run, vector);
  return vector.map((value, i) => bars.reduce((sum, bar, k) => sum + (bar - former[k]) * run.axes[k][i], value));
}
