// The console without this file is whole: forms and links do all. This adds the charts and the slider.
"use strict";

const DAY = 86_400_000; // milliseconds
const charts = [];
const count = new Intl.NumberFormat(document.documentElement.lang, { notation: "compact" });

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

// A chart draws the table that stands beside it: a row is a bar, a column with values a series.
function draw(place) {
  const rows = [...document.getElementById(place.dataset.table).tBodies[0].rows];
  const values = rows.map(row => [...row.cells].filter(cell => "value" in cell.dataset).map(cell => Number(cell.dataset.value)));
  const labels = rows.map(row => row.cells[0].textContent);
  const isStack = place.dataset.form !== "lines";
  const first = Number(place.dataset.first ?? 1);
  const series = values[0].map((_, i) => values.map(row => isStack ? row.slice(0, i + 1).reduce((sum, value) => sum + Math.max(value, 0), 0) : row[i]));
  const axis = { stroke: colour("--dim"), grid: { stroke: colour("--rule"), width: 1 }, ticks: { stroke: colour("--rule"), width: 1 } };
  const bar = uPlot.paths.bars({ size: [0.7, 48] });
  place.replaceChildren();
  return new uPlot({
    width: place.clientWidth,
    height: 260,
    legend: { show: false },
    cursor: { show: false },
    scales: { x: { time: false, range: [-0.6, rows.length - 0.4] }, y: { range: (_, __, most) => [0, Math.max(most, 1) * 1.05] } },
    // The whole stack is drawn first, and each shorter one over it.
    series: [{}, ...series.map((_, i) => isStack
      ? { fill: colour(`--s${i + first}`), width: 0, paths: bar, points: { show: false } }
      : { stroke: colour(`--s${i + first}`), width: 2 }).reverse()],
    axes: [
      { ...axis, grid: { show: false }, incrs: [1, 2, 3, 6, 12, 24], space: 56, values: (_, at) => at.map(i => labels[i] ?? "") },
      { ...axis, size: 56, values: (_, at) => at.map(value => count.format(value)) },
    ],
  }, [rows.map((_, i) => i), ...series.reverse()], place);
}

function drawAll() {
  for (const chart of charts.splice(0)) chart.destroy();
  for (const place of document.querySelectorAll(".chart")) charts.push(draw(place));
}

function slide() {
  const slider = document.getElementById("slider");
  const day = document.getElementById("day");
  if (!slider || !slider.hidden) return;
  for (const part of document.querySelectorAll(".slider")) part.hidden = false;
  const said = value => new Date(value * DAY).toISOString().slice(0, 10);
  const tell = () => slider.setAttribute("aria-valuetext", said(Number(slider.value)));
  tell();
  slider.addEventListener("input", () => { day.value = said(Number(slider.value)); tell(); });
  slider.addEventListener("change", () => day.dispatchEvent(new Event("change", { bubbles: true })));
  day.addEventListener("change", () => { slider.value = Date.parse(day.value) / DAY; tell(); });
}

document.addEventListener("DOMContentLoaded", () => { slide(); drawAll(); });
document.addEventListener("htmx:afterSettle", () => {
  if (document.querySelector(".chart:empty")) drawAll();
});
// An error is shown where the answer would stand; the member is asked for as a page, which says what is wrong.
document.addEventListener("htmx:beforeSwap", event => {
  if (event.detail.xhr.status < 400) return;
  if (event.detail.target.id === "member") location.assign(event.detail.pathInfo.responsePath || event.detail.pathInfo.finalRequestPath);
  else event.detail.shouldSwap = true;
});
document.addEventListener("htmx:sendError", event => {
  const said = document.createElement("p");
  said.className = "wrong";
  said.setAttribute("role", "alert");
  said.textContent = document.body.dataset.failed;
  event.detail.target.prepend(said);
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
let width = innerWidth;
addEventListener("resize", () => { if (innerWidth !== width) { width = innerWidth; drawAll(); } });
