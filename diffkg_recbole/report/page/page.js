"use strict";

// ---- tables: sorted by a button in each header ------------------------------------------------

function cellValue(row, place) {
  const value = row.cells[place].dataset.value;
  if (value === undefined) return null;
  const number = Number(value);
  return value === "" || Number.isNaN(number) ? value : number;
}

function compareValues(one, two) {
  return typeof one === "number" && typeof two === "number"
    ? one - two : String(one).localeCompare(String(two));
}

function sortBy(table, header) {
  const place = header.cellIndex;
  const body = table.tBodies[0];
  const was = header.getAttribute("aria-sort");
  // Numbers start with the largest, names and places with the first.
  const first = header.classList.contains("name") || place === 0 ? "ascending" : "descending";
  const other = first === "ascending" ? "descending" : "ascending";
  const order = was === first ? other : first;
  const sign = order === "ascending" ? 1 : -1;
  const rows = [...body.rows].map((row) => [cellValue(row, place), row]);
  rows.sort(([one], [two]) => {
    if (one === null || two === null) return (one === null) - (two === null);
    return sign * compareValues(one, two);
  });
  body.append(...rows.map(([, row]) => row));
  for (const cell of header.parentElement.cells) cell.setAttribute("aria-sort", "none");
  header.setAttribute("aria-sort", order);
}

for (const table of document.querySelectorAll("table.sortable")) {
  table.tHead.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button) sortBy(table, button.closest("th"));
  });
}

// ---- columns: groups that do not fit start hidden, a chip shows them ---------------------------

for (const chips of document.querySelectorAll(".chips")) {
  const table = document.getElementById(chips.dataset.table);
  const holder = table.parentElement;
  const apply = (box) => table.classList.toggle(`hide-${box.value}`, !box.checked);
  const boxes = [...chips.querySelectorAll("input")];
  boxes.forEach(apply);
  for (const group of ["cost", "difference", "published"]) {
    if (holder.scrollWidth <= holder.clientWidth) break;
    const box = boxes.find((one) => one.value === group);
    if (!box) continue;
    box.checked = false;
    apply(box);
  }
  chips.addEventListener("change", (event) => apply(event.target));
}

// ---- charts ------------------------------------------------------------------------------------

const NARROW = 520;

function css(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

// Colours are stored as "@name" of a CSS variable, so one figure serves light and dark.
function withColors(value, key = "") {
  if (Array.isArray(value)) return value.map((item) => withColors(item, key));
  if (value && typeof value === "object") {
    return Object.fromEntries(
      Object.entries(value).map(([name, item]) => [name, withColors(item, name)]));
  }
  return key === "color" && typeof value === "string" && value[0] === "@"
    ? css(value.slice(1)) : value;
}

function axisStyle(axis, narrow) {
  return {
    gridcolor: css("grid"), linecolor: css("line"), zerolinecolor: css("line"),
    tickcolor: css("line"), ...axis, tickfont: { size: narrow ? 10 : 12 },
    title: { ...axis.title, font: { size: narrow ? 11 : 12, color: css("quiet") }, standoff: 8 },
  };
}

function styledLayout(layout, width) {
  const narrow = width < NARROW;
  return {
    ...layout,
    autosize: true,
    showlegend: false,  // the page has its own legends, which fit any width
    margin: { l: 8, r: 12, t: 10, b: 8, pad: 4 },
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: getComputedStyle(document.body).fontFamily, size: 12, color: css("ink") },
    xaxis: axisStyle(layout.xaxis, narrow),
    yaxis: axisStyle(layout.yaxis, narrow),
    hoverlabel: { bgcolor: css("card"), bordercolor: css("line"), align: "left", namelength: -1,
                  font: { color: css("ink") } },
    // A finger on a chart scrolls the page; only a mouse zooms.
    dragmode: matchMedia("(pointer: coarse)").matches ? false : "zoom",
  };
}

function shownRows(figure) {
  const buttons = figure.closest("section").querySelectorAll(".lines button[aria-pressed=true]");
  return new Set([...buttons].map((button) => Number(button.dataset.row)));
}

function forPage(traces, figure, width) {
  const shown = shownRows(figure);
  return traces.map((trace) => {
    const meta = trace.meta || {};
    const visible = meta.row === undefined || shown.has(meta.row);
    return { ...trace, visible, ...(meta.narrow && width < NARROW ? { text: meta.narrow } : {}) };
  });
}

function draw(figure) {
  const plot = figure.querySelector(".plot");
  const choices = JSON.parse(figure.querySelector("script").textContent);
  const select = figure.querySelector("select");
  const chosen = withColors(choices[select ? select.selectedIndex : 0]);
  const width = plot.clientWidth;
  return window.Plotly.react(plot, forPage(chosen.data, figure, width),
                             styledLayout(chosen.layout, width),
                             { responsive: true, displayModeBar: false });
}

function save(figure) {
  const plot = figure.querySelector(".plot");
  window.Plotly.downloadImage(plot, { format: "svg", filename: figure.id,
                                      width: plot.clientWidth, height: plot.clientHeight });
}

function toggleRow(button) {
  const section = button.closest("section");
  const pressed = button.getAttribute("aria-pressed") !== "true";
  for (const other of section.querySelectorAll(`.lines [data-row="${button.dataset.row}"]`)) {
    other.setAttribute("aria-pressed", pressed);
  }
  section.querySelectorAll("figure.lined").forEach(draw);
}

// Plotly travels compressed inside the page; the browser itself unpacks it.
async function loadPlotly() {
  const packed = atob(document.getElementById("plotly").textContent.trim());
  const bytes = Uint8Array.from(packed, (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  const script = document.createElement("script");
  script.textContent = await new Response(stream).text();
  document.head.append(script);
  if (!window.Plotly) throw new Error("the charts' program did not start");
}

async function drawAll() {
  const figures = [...document.querySelectorAll("figure.chart")];
  if (!figures.length) return;
  try {
    await loadPlotly();
  } catch (error) {
    for (const plot of document.querySelectorAll(".plot")) {
      const note = document.createElement("p");
      note.className = "failed";
      note.textContent = "This browser cannot draw the chart; the numbers are in the tables.";
      plot.replaceChildren(note);
    }
    return;
  }
  for (const figure of figures) {
    await draw(figure);
    const select = figure.querySelector("select");
    if (select) select.addEventListener("change", () => draw(figure));
    figure.querySelector(".save").addEventListener("click", () => save(figure));
  }
  for (const button of document.querySelectorAll(".lines button")) {
    button.addEventListener("click", () => toggleRow(button));
  }
  const redraw = () => figures.forEach(draw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  let waiting;
  addEventListener("resize", () => {
    clearTimeout(waiting);
    waiting = setTimeout(redraw, 200);
  });
  document.documentElement.dataset.charts = "drawn";
}

drawAll();
