"use strict";

// --- Code ---

const codeSwitch = document.getElementById("code-switch");
codeSwitch.addEventListener("click", () => {
  const open = codeSwitch.getAttribute("aria-pressed") !== "true";
  codeSwitch.setAttribute("aria-pressed", open);
  codeSwitch.textContent = open ? "Hide all code" : "Show all code";
  document.body.classList.toggle("all-code", open);
  document.querySelectorAll("details.code").forEach((cell) => { cell.open = open; });
});

// --- Contents: open beside the page, closed above it; the section that is read is marked ---

const contents = document.querySelector(".contents details");
if (contents) {
  const wide = matchMedia("(min-width: 76rem)");
  const fold = () => { contents.open = wide.matches; };
  wide.addEventListener("change", fold);
  fold();
  const links = [...contents.querySelectorAll("a")];
  const headings = links.map((link) => document.getElementById(link.getAttribute("href").slice(1)));
  const side = document.querySelector(".side");
  const mark = () => {
    const passed = headings.filter((heading) => heading.getBoundingClientRect().top < 120).length;
    const current = links[Math.max(passed - 1, 0)];
    if (current.hasAttribute("aria-current")) return;
    links.forEach((link) => link.removeAttribute("aria-current"));
    current.setAttribute("aria-current", "true");
    const below = current.getBoundingClientRect().bottom - side.getBoundingClientRect().bottom + 40;
    const above = current.getBoundingClientRect().top - side.getBoundingClientRect().top - 40;
    if (below > 0 || above < 0) side.scrollTop += below > 0 ? below : above;
  };
  addEventListener("scroll", mark, { passive: true });
  mark();
  contents.addEventListener("click", (event) => {
    if (event.target.closest("a") && !wide.matches) contents.open = false;
  });
}

// --- Boxes that scroll must be reachable by keyboard; the others should not be tab stops ---

const boxes = document.querySelectorAll(".outputs, .outputs pre, .highlight, .formula");
function markScrollable() {
  boxes.forEach((box) => {
    const scrolls = box.scrollWidth > box.clientWidth || box.scrollHeight > box.clientHeight + 1;
    if (scrolls) box.tabIndex = 0;
    else box.removeAttribute("tabindex");
  });
}
addEventListener("load", markScrollable);
addEventListener("resize", markScrollable);

// --- The figures, for the page that shows those of two pages side by side ---

function figureOf(part) {
  const copy = part.cloneNode(true);
  copy.querySelectorAll(".enlarge, .keys").forEach((control) => control.remove());
  if (part.matches(".zoomable")) return copy.innerHTML;
  copy.removeAttribute("data-drawn");
  return copy.outerHTML + part.nextElementSibling.outerHTML; // a player and its script
}
addEventListener("message", (event) => {
  if (event.data !== "figures") return;
  const figures = [];
  let heading = "";
  document.querySelectorAll("main :is(h1, h2, h3, .zoomable, .player)").forEach((part) => {
    if (part.matches("h1, h2, h3")) heading = part.textContent.replace(/#$/, "");
    else figures.push({ heading, html: figureOf(part) });
  });
  event.source.postMessage(figures, "*");
});
