// --- Figures -----------------------------------------------------------------------------------

const SVG = "http://www.w3.org/2000/svg";
const shape = (name, attributes, text) => {
  const made = document.createElementNS(SVG, name);
  Object.entries(attributes).forEach(([key, value]) => made.setAttribute(key, value));
  if (text !== undefined) made.textContent = text;
  return made;
};
const round3 = (x) => Number(x.toPrecision(3)).toString().replace("-", "−");
const numberLine = (values, x, y) => values.map((value) => shape("text", { x: x(value), y, "text-anchor": "middle" }, round3(value)));

// One row per noise, in units of its own standard deviation: what is left of it after a scale cancels.
function drawDensity(noises) {
  const figure = $("density"), wide = 320, row = 46, base = noises.length * row + 2;
  const reach = Math.min(12, Math.max(4, ...noises.map(({ mean, std }) => Math.ceil(Math.abs(mean / std)) + 3)));
  const x = (value) => wide / 2 + (Math.min(reach, Math.max(-reach, value)) / reach) * (wide / 2 - 8);
  figure.setAttribute("viewBox", `0 0 ${wide} ${base + 18}`);
  figure.replaceChildren(
    shape("line", { x1: x(0), x2: x(0), y1: 4, y2: base, class: "axis dashed" }),
    ...numberLine([-4, -2, 0, 2, 4], x, base + 14),
  );
  noises.forEach((noise, k) => {
    const bottom = (k + 1) * row, high = row - 20, { points, bars } = density(noise);
    const place = (value) => x(value / noise.std).toFixed(1), ink = `stroke: ${noise.ink}`;
    figure.append(shape("line", { x1: 0, x2: wide, y1: bottom, y2: bottom, class: "axis" }));
    if (bars) {
      for (const [value, height] of bars) {
        figure.append(shape("line", { x1: place(value), x2: place(value), y1: bottom, y2: bottom - height * high, class: "bar-of", style: ink }));
      }
    } else {
      // Each is scaled to its row: widths are compared, not heights. Spikes are cut.
      const heights = points.map(([, height]) => height).sort((a, b) => a - b);
      const highest = Math.min(heights.at(-1), 2.5 * heights[Math.floor(0.9 * heights.length)]);
      const path = points.map(([value, height]) => `${place(value)},${(bottom - Math.min(1, height / highest) * high).toFixed(1)}`);
      figure.append(shape("polyline", { points: `${place(points[0][0])},${bottom} ${path.join(" ")} ${place(points.at(-1)[0])},${bottom}`, class: "curve", style: ink }));
    }
    figure.append(
      shape("line", { x1: place(noise.mean), x2: place(noise.mean), y1: bottom - 5, y2: bottom + 3, class: "mean-of", style: ink }),
      shape("text", { x: 0, y: bottom - row + 14 }, noise.label),
      shape("text", { x: wide, y: bottom - row + 14, "text-anchor": "end" }, `mean ${round3(noise.mean)}, std. dev. ${round3(noise.std)}`),
    );
  });
  figure.setAttribute("aria-label", `Density of one number of a latent vector, in standard deviations: ${noises.map(({ label, mean, std }) => `${label}, mean ${round3(mean)}, standard deviation ${round3(std)}`).join("; ")}.`);
}

// Noises of the same ratio stand side by side, below their names.
function drawTheory(noises) {
  const figure = $("theory"), wide = 320, high = 170, base = high - 18, most = 4;
  const x = (ratio) => 8 + (Math.min(most, ratio) / most) * (wide - 16), y = (value) => base - value * (base - 12);
  const curve = Array.from({ length: 81 }, (_, i) => i / 20).map((ratio) => `${x(ratio)},${y(1 / (1 + ratio * ratio)).toFixed(1)}`);
  figure.replaceChildren(
    shape("line", { x1: 0, x2: wide, y1: base, y2: base, class: "axis" }),
    shape("polyline", { points: curve.join(" "), class: "theory" }),
    ...numberLine([0, 1, 2, 3, 4], x, high - 4),
  );
  const ratios = [...new Set(noises.map(({ mean, std }) => Math.abs(mean / std).toFixed(2)))].sort();
  let free = 14;  // the names stand in a list, from the top down
  for (const rounded of ratios) {
    const alike = noises.filter(({ mean, std }) => Math.abs(mean / std).toFixed(2) === rounded);
    const ratio = Math.abs(alike[0].mean / alike[0].std), value = theoryOf(alike[0], "channel");
    alike.forEach((noise, k) => {
      const cx = x(ratio) + 13 * k;
      figure.append(shape("circle", { cx, cy: y(value), r: 6, style: `fill: ${noise.ink}` }));
    });
    const label = `${[...new Set(alike.map((noise) => noise.label))].join(", ")}: ${Math.round(100 * value)} %`;
    const top = Math.max(free, y(value) + 4);
    figure.append(shape("text", { x: x(ratio) + 13 * alike.length, y: top }, label));
    free = top + 14;
  }
  const told = noises.map((noise) => `${noise.label}: ${Math.round(100 * theoryOf(noise, "channel"))} %`).join(", ");
  figure.setAttribute("aria-label", `Share of the first layer's variance that distinguishes images, by theory, against |mean| / standard deviation. ${told}.`);
}
