// --- Figures, enlarged ---

const zoom = document.createElement("dialog");
zoom.className = "zoom";
zoom.setAttribute("aria-label", "Enlarged figure");
zoom.innerHTML = `<div class="keys"><button type="button" data-by="0.667" aria-label="Smaller">−</button>
<button type="button" data-by="1.5" aria-label="Larger">+</button>
<button type="button" data-close>Close</button></div><div class="stage" tabindex="0" aria-label="The figure"></div>`;
document.body.append(zoom);
const stage = zoom.querySelector(".stage");
let scale = 1;
function resize(by) {
  scale = Math.min(8, Math.max(1, scale * by));
  stage.firstElementChild.style.width = `${100 * scale}%`;
}
zoom.addEventListener("click", (event) => {
  const { by, close } = event.target.dataset;
  if (by) resize(by);
  if (close !== undefined || event.target === zoom) zoom.close();
});
zoom.addEventListener("close", () => stage.replaceChildren());

// The copy of a drawing needs ids of its own: what is not shown cannot be referred to.
function renamed(html, prefix) {
  return html.replace(/(\bid="|url\(#|\("#|href="#)/g, `$1${prefix}`);
}
function alternative(drawing) {
  return drawing.getAttribute("alt") || drawing.getAttribute("aria-label") || "this figure";
}
function enlarge(drawing) {
  stage.innerHTML = renamed(drawing.outerHTML, "zoom-");
  scale = 1;
  resize(720 / innerWidth); // on a phone it begins larger than the screen
  zoom.showModal();
  stage.scrollTo(0, 0);
}

const FIGURES = "figure.figure, .output_png > img, .output_jpeg > img, .output_svg > svg, .output_html svg[role=img], .pair > div > :is(img, svg)";
function makeZoomable(root) {
  root.querySelectorAll(FIGURES).forEach((figure) => {
    if (figure.parentElement.closest("figure.figure, .zoomable")) return;
    const drawing = figure.matches("figure") ? figure.querySelector("svg.wide, svg, img") : figure;
    if (!drawing) return;
    const box = document.createElement("div");
    box.className = "zoomable";
    figure.replaceWith(box);
    const button = document.createElement("button");
    button.type = "button";
    button.className = "enlarge";
    button.textContent = "⤢";
    button.setAttribute("aria-label", `Enlarge: ${alternative(drawing)}`);
    button.addEventListener("click", () => enlarge(drawing));
    figure.addEventListener("click", () => {
      if (getSelection().isCollapsed) { button.focus(); enlarge(drawing); }
    });
    box.append(figure, button);
  });
}
makeZoomable(document);
