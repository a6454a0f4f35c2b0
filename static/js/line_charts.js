/*
 * Lines over steps, drawn by uPlot: bands, smoothing, a pointer that several charts share. charts.js
 * says what one is given.
 */
import { axisTitle, colour, dataTable, format, html } from "./svg_charts.js";

// Means first, then the ends of the bands: column i + 1 is the curve of series i.
function alignSeries(series) {
  const steps = [...new Set(series.flatMap((one) => one.x))].sort((a, b) => a - b);
  const place = new Map(steps.map((step, i) => [step, i]));
  const spread = (one, values) => {
    const column = new Array(steps.length).fill(undefined);
    one.x.forEach((step, i) => (column[place.get(step)] = values[i]));
    return column;
  };
  const bands = series.filter((one) => one.low).flatMap((one) => [spread(one, one.low), spread(one, one.high)]);
  const raw = series.filter((one) => one.raw).map((one) => spread(one, one.raw));
  return [steps, ...series.map((one) => spread(one, one.y)), ...bands, ...raw];
}

function showReading(body, data, drawing) {
  const caption = body.parentElement.querySelector("figcaption");
  if (!caption || data.series.length !== 1) return;
  let reading = caption.querySelector(".chart-reading");
  if (!reading) caption.append((reading = html("span", "chart-note chart-reading")));
  const [steps, values] = drawing.data;
  const i = drawing.cursor.idx;
  reading.textContent = i === null || i === undefined ? "" : ` ${format(values[i])} at ${data.x_label ?? "step"} ${format(steps[i])}`;
}

const HEIGHT = 220;
const DASHES = [[], [7, 4], [2, 3], [10, 3, 2, 3]];
const MARKS = ["solid", "dashed", "dotted", "double"]; // The same in the legend, as borders know them.

// Six colours can be told apart; the seventh curve has the first again, and dashes.
function strokeOf(one, i) {
  const place = one.colour ?? i;
  if (one.baseline) return { name: "--text", dash: [4, 3], mark: "dashed" };
  const round = Math.floor(place / 6) % DASHES.length;
  return { name: `--series-${(place % 6) + 1}`, dash: DASHES[round], mark: MARKS[round] };
}

// Of a row of the legend: the first is of the steps, and after the curves come their bands.
function markOf({ series }, row) {
  return series[row - 1] ? strokeOf(series[row - 1], row - 1).mark : "solid";
}

function curveOptions(one, i, few) {
  const { name, dash } = strokeOf(one, i);
  return { label: one.name, stroke: colour(name), dash, width: one.baseline ? 2.2 : 1.8, spanGaps: true, points: { show: few, size: 5 }, value: (_, value) => format(value) };
}

// --- Smoothing -------------------------------------------------------------------------------

let smoothing = 0;

// From 0, as told, towards 1; what is drawn already has to be drawn again.
export function setSmoothing(share) {
  smoothing = share;
}

// The exponential mean whose first values are not drawn to 0 (as TensorBoard's): with 0.9 a curve
// tells about its last ten values. What is smoothed stays behind it, faint.
function smoothed(series) {
  if (!smoothing) return series;
  const curves = series.map((one) => {
    let last = 0;
    let weight = 0;
    const y = one.y.map((value) => {
      if (value === null || value === undefined) return value;
      last = last * smoothing + (1 - smoothing) * value;
      weight = weight * smoothing + (1 - smoothing);
      return last / weight;
    });
    return { ...one, y, raw: one.y };
  });
  return curves;
}

function bandOptions(series) {
  const options = [];
  const bands = [];
  series.forEach((one, i) => {
    if (!one.low) return;
    const { name } = strokeOf(one, i);
    const end = { label: `${one.name} range`, class: "chart-band", width: 0, spanGaps: true, points: { show: false } };
    const first = 1 + series.length + options.length;
    options.push(end, { ...end });
    bands.push({ series: [first + 1, first], fill: colour(name, 18) });
  });
  series.forEach((one, i) => {
    if (!one.raw) return;
    options.push({ label: `${one.name} as told`, class: "chart-band", stroke: colour(strokeOf(one, i).name, 25), width: 1, spanGaps: true, points: { show: false } });
  });
  return { options, bands };
}

// Charts of one name follow the pointer of each other, by the step and not by the place on screen.
function shared(body) {
  const { sync } = body.closest("figure").dataset;
  return sync ? { sync: { key: sync, scales: ["x", null] } } : {};
}

function lineOptions(body, data, columns) {
  const text = colour("--chart-text");
  const axis = { stroke: text, grid: { stroke: colour("--chart-grid"), width: 1 }, ticks: { show: false }, font: "11px system-ui", labelFont: "500 11px system-ui", labelSize: 18 };
  const few = columns[0].length < 40;
  const band = bandOptions(data.series);
  return {
    width: Math.max(body.clientWidth, 200),
    height: HEIGHT,
    scales: { x: { time: false } },
    axes: [
      { ...axis, label: data.x_label ?? "step", size: 32 },
      { ...axis, label: axisTitle(data.y_label ?? "", data.y_unit), size: 52, values: (_, ticks) => ticks.map(format) },
    ],
    series: [
      { label: data.x_label ?? "step", value: (_, value) => format(value) },
      ...data.series.map((one, i) => curveOptions(one, i, few)),
      ...band.options,
    ],
    bands: band.bands,
    cursor: { points: { size: (_, i) => (i > data.series.length ? 0 : 7) }, drag: { setScale: true }, ...shared(body) },
    // The title names a curve that is alone; its value under the pointer stands beside it.
    legend: { show: data.series.length > 1 || !!body.closest("[data-sync]"), markers: { width: (_, i) => (markOf(data, i) === "double" ? 3 : 2), dash: (_, i) => markOf(data, i) } },
    hooks: { setCursor: [(drawing) => showReading(body, data, drawing)] },
  };
}

function describe(body, holder, data, columns) {
  const latest = data.series.map((one) => `${one.name} ${format(one.y.at(-1))}`).join(", ");
  holder.setAttribute("role", "img");
  holder.setAttribute("aria-label", `Line chart of ${data.y_label ?? "values"} by ${data.x_label ?? "step"}. Latest: ${latest || "no values yet"}.`);
  const banded = data.series.filter((one) => one.low);
  const ends = (one) => 1 + data.series.length + 2 * banded.indexOf(one);
  // Ends are of what was told: they say nothing of a smoothed mean.
  const cell = (one, s, i) => {
    const value = format(columns[s + 1][i]);
    const told = one.low && !one.raw && columns[s + 1][i] !== undefined;
    return told ? `${value} (${format(columns[ends(one)][i])} to ${format(columns[ends(one) + 1][i])})` : value;
  };
  const rows = columns[0].map((step, i) => [format(step), ...data.series.map((one, s) => cell(one, s, i))]);
  const table = dataTable([data.x_label ?? "step", ...data.series.map((one) => one.name)], rows.slice(-200));
  const before = body.querySelector("details");
  if (!before) return body.append(table);
  table.open = before.open;
  before.replaceWith(table);
}

export async function drawLine(body, told) {
  const { default: uPlot } = await import("../vendor/uplot/uPlot.esm.js");
  const smooths = body.closest("[data-sync]") !== null;
  const prepared = (given) => (smooths ? { ...given, series: smoothed(given.series) } : given);
  const data = prepared(told);
  let columns = alignSeries(data.series);
  const holder = html("div");
  body.replaceChildren(holder);
  const plot = new uPlot(lineOptions(body, data, columns), columns, holder);
  const resize = new ResizeObserver(() => plot.setSize({ width: Math.max(body.clientWidth, 200), height: HEIGHT }));
  resize.observe(body);
  describe(body, holder, data, columns);
  return {
    // New points go into the drawing that is there; what a person has zoomed into stays.
    update(given) {
      const next = prepared(given);
      const zoomed = plot.scales.x.min > columns[0][0] || plot.scales.x.max < columns[0].at(-1);
      columns = alignSeries(next.series);
      plot.setData(columns, !zoomed);
      if (zoomed) plot.redraw();
      describe(body, holder, next, columns);
    },
    clear() {
      resize.disconnect();
      plot.destroy();
    },
  };
}
