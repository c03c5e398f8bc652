// The console without this file is whole: forms and links do all. This adds the charts and the slider.
"use strict";

const DAY = 86_400_000; // milliseconds
const charts = [];
const short = new Intl.NumberFormat(document.documentElement.lang, { notation: "compact", maximumSignificantDigits: 3 });

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function made(name, className, text = "") {
  const element = document.createElement(name);
  element.className = className;
  element.textContent = text;
  return element;
}

// What a chart draws is the table that it names: a row is a place on the axis, a column with values a series.
function tableOf(place) {
  const table = document.getElementById(place.dataset.table);
  const rows = [...table.tBodies[0].rows];
  const columns = [...rows[0].cells].flatMap((cell, i) => "value" in cell.dataset ? [i] : []);
  return {
    labels: rows.map(row => row.cells[0].textContent),
    names: columns.map(i => table.tHead.rows[0].cells[i].textContent),
    shown: rows.map(row => columns.map(i => row.cells[i].textContent)),
    values: columns.map(i => rows.map(row => Number(row.cells[i].dataset.value))),
  };
}

// Each series as it is drawn: stacked from the ground, or (mirror) the first above the ground and the others below it.
function heights(values, form) {
  if (form === "lines" || form === "area") return values;
  const below = form === "mirror" ? values.slice(1).map((_, i) => values[0].map((_, at) => -values.slice(1, i + 2).reduce((sum, one) => sum + Math.max(one[at], 0), 0))) : [];
  if (form === "mirror") return [values[0], ...below];
  return values.map((_, i) => values[0].map((_, at) => values.slice(0, i + 1).reduce((sum, one) => sum + Math.max(one[at], 0), 0)));
}

// The values of the place under the pointer or chosen by the arrow keys, beside it.
function tips(table, first) {
  const tip = made("div", "tip");
  tip.setAttribute("aria-hidden", "true");
  tip.hidden = true;
  return {
    hooks: {
      init: chart => { chart.over.append(tip); chart.over.addEventListener("mouseleave", () => { tip.hidden = true; }); },
      setCursor: chart => {
        const at = chart.cursor.idx;
        if (at === null || at === undefined || chart.cursor.left < 0) { tip.hidden = true; return; }
        const rows = table.names.map((name, i) => {
          const row = made("div", "");
          row.append(made("span", `swatch s${i + first}`), made("span", "", name), made("b", "", table.shown[at][i]));
          return row;
        });
        tip.replaceChildren(made("strong", "", table.labels[at]), ...rows);
        tip.hidden = false;
        const x = chart.valToPos(at, "x");
        const isRight = x > chart.over.clientWidth / 2;
        tip.style.left = isRight ? "" : `${x + 12}px`;
        tip.style.right = isRight ? `${chart.over.clientWidth - x + 12}px` : "";
      },
    },
  };
}

// A chart is stepped through by the arrow keys, Home and End; what the place says is told to who cannot see it.
function steps(place, table, chart) {
  const last = table.labels.length - 1;
  const told = made("span", "sr");
  told.setAttribute("aria-live", "polite");
  place.append(told);
  place.tabIndex = 0;
  place.setAttribute("role", "group");
  const show = at => {
    chart.setCursor({ left: chart.valToPos(at, "x"), top: 0 });
    told.textContent = `${table.labels[at]}: ${table.names.map((name, i) => `${name} ${table.shown[at][i]}`).join(", ")}`;
  };
  place.onkeydown = event => {
    const at = chart.cursor.left >= 0 ? chart.cursor.idx ?? -1 : -1;
    const to = { ArrowLeft: at < 0 ? last : at - 1, ArrowRight: at + 1, Home: 0, End: last }[event.key];
    if (event.key === "Escape") chart.setCursor({ left: -10, top: -10 });
    if (to === undefined) return;
    event.preventDefault();
    show(Math.min(Math.max(to, 0), last));
  };
  place.onblur = () => { chart.setCursor({ left: -10, top: -10 }); told.textContent = ""; };
}

function draw(place) {
  const table = tableOf(place);
  const form = place.dataset.form ?? "stack";
  const first = Number(place.dataset.first ?? 1);
  const drawn = heights(table.values, form);
  const isLine = form === "lines" || form === "area";
  const axis = { stroke: colour("--dim"), font: "12px system-ui, sans-serif", grid: { stroke: colour("--rule"), width: 1 }, ticks: { show: false } };
  const bar = uPlot.paths.bars({ size: [0.72, 40], radius: 0.12 });
  const ink = i => colour(`--s${i + first}`);
  const series = drawn.map((_, i) => isLine
    ? { stroke: ink(i), width: 2, fill: form === "area" ? colour("--soft-accent") : undefined, points: { show: table.labels.length < 3 } }
    : { fill: ink(i), width: 0, paths: bar, points: { show: false } });
  // The whole stack is drawn first, and each shorter one over it.
  if (!isLine) { series.reverse(); drawn.reverse(); }
  place.replaceChildren();
  if (table.names.length > 1) {
    const legend = made("div", "legend");
    legend.append(...table.names.map((name, i) => { const one = made("span", "", name); one.prepend(made("span", `swatch s${i + first}`)); return one; }));
    place.append(legend);
  }
  const count = table.labels.length;
  const chart = new uPlot({
    width: place.clientWidth,
    height: place.classList.contains("low") ? 200 : 280,
    legend: { show: false },
    cursor: { y: false, points: { show: false }, drag: { setScale: false, x: false, y: false } },
    scales: {
      x: { time: false, range: [-0.6, count - 0.4] },
      y: { range: (_, least, most) => [Math.min(least ?? 0, 0) * 1.05, Math.max(most ?? 0, 1) * 1.05] },
    },
    series: [{}, ...series],
    axes: [
      { ...axis, grid: { show: false }, incrs: [1, 2, 3, 6, 7, 12, 14, 24, 28, 36, 60, 120], space: 84, values: (_, at) => at.map(i => table.labels[i] ?? "") },
      { ...axis, size: 56, values: (_, at) => at.map(value => short.format(Math.abs(value))) },
    ],
    plugins: [tips(table, first)],
  }, [table.labels.map((_, i) => i), ...drawn], place);
  steps(place, table, chart);
  return chart;
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

// A file that is chosen is put where its text would be pasted.
function upload() {
  const chooser = document.getElementById("choose");
  if (!chooser) return;
  chooser.parentElement.hidden = false;
  chooser.addEventListener("change", async () => {
    const file = chooser.files[0];
    const isLarge = file && file.size > Number(chooser.dataset.most);
    chooser.setCustomValidity(isLarge ? chooser.dataset.large : "");
    if (!file || isLarge) { chooser.reportValidity(); return; }
    document.getElementById("toml").value = await file.text();
    document.getElementById("file").value = file.name;
  });
}

document.addEventListener("DOMContentLoaded", () => { slide(); upload(); drawAll(); });
document.addEventListener("htmx:afterSettle", () => {
  for (const id of open.splice(0)) document.getElementById(id)?.setAttribute("open", "");
  if (document.querySelector(".chart:empty")) drawAll();
});
// What looks for news by itself waits while somebody reads a chart or a table in it, writes in it, or looks elsewhere;
// it leaves open what was opened.
const open = [];
const BUSY = ".chart:hover, .chart:focus, .tall:hover, .tall:focus-within, input:focus, select:focus, button:focus, a:focus";
document.addEventListener("htmx:beforeRequest", event => {
  const part = event.detail.elt;
  if (part.dataset.quiet && (document.hidden || part.querySelector(BUSY))) event.preventDefault();
});
// An error is shown where the answer would stand; the member is asked for as a page, which says what is wrong.
document.addEventListener("htmx:beforeSwap", event => {
  for (const part of event.detail.target.querySelectorAll("details[open][id]")) open.push(part.id);
  if (event.detail.xhr.status < 400) return;
  if (event.detail.target.dataset.quiet) return;
  if (event.detail.target.id === "member") location.assign(event.detail.pathInfo.responsePath || event.detail.pathInfo.finalRequestPath);
  else event.detail.shouldSwap = true;
});
document.addEventListener("htmx:sendError", event => {
  if (event.detail.target.querySelector(":scope > .wrong")) return;
  const said = made("p", "wrong", document.body.dataset.failed);
  said.setAttribute("role", "alert");
  event.detail.target.prepend(said);
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
let width = innerWidth;
addEventListener("resize", () => { if (innerWidth !== width) { width = innerWidth; drawAll(); } });
