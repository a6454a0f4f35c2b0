/*
 * Charts as progressive enhancement.
 *
 *   <figure class="chart" data-chart="line" data-source="/runs/7/metrics.json" data-refresh="5">
 *     <figcaption>Reward <span class="chart-note">mean of a rollout, normalised</span></figcaption>
 *     (anything here, such as a table, is shown until the drawing replaces it)
 *   </figure>
 *
 * data-source   an address that answers with JSON, or "#id" of a json_script element.
 * data-refresh  seconds between readings; reading stops once the JSON says {"ended": true}.
 *
 * line          {"x_label": "step", "y_label": "reward", "y_unit": "", "ended": false,
 *                "series": [{"name": "train", "x": [1, 2], "y": [0.1, 0.3]}]}      (y may hold null)
 *               A curve that is cut into stretches has "low" and "high" beside its means, drawn as a
 *               band. With {"grain": "16.1", "stretch": 16, "from": 4096} the JSON holds what lies
 *               from there on; the next reading says which grain it has, and since which step it
 *               wants more. "colour" is the place whose colour a curve has, "baseline": true draws it
 *               apart from the others.
 *               Charts of one data-sync share the pointer, the stretch that is zoomed into, and the
 *               smoothing of <input type="range" data-smoothing>.
 * bars, radar   {"label": "mean rating", "min": 0, "max": 6, "categories": ["attribute", …],
 *                "series": [{"name": "Base", "values": [2.1, …], "low": [1.5, …], "high": [2.7, …]}]}
 *               low and high are the ends of an interval and may be left out or hold null.
 *
 * curve         {"label": "score", "unit": "", "min": 0, "max": 6,
 *                "series": [{"name": "…", "points": [{"name": "…", "label": "Base", "value": 2.1,
 *                "low": 1.5, "high": 2.7, "made_from": "release 3"}, …]}]}   (min, max may be left out)
 *               "colour" is the place of a series in another chart whose colour it shall have.
 *
 * Every chart brings its figures as a table for those who do not see the drawing.
 */

const SVG = "http://www.w3.org/2000/svg";
const number = new Intl.NumberFormat("en", { maximumSignificantDigits: 4 });
const drawn = new Map(); // figure -> {data, redraw}

function format(value) {
  return value === null || value === undefined ? "–" : number.format(value);
}

function colour(name, percent = 100) {
  // A custom property may hold light-dark(…): only a used value says which of the two it is.
  const probe = document.createElement("i");
  probe.hidden = true;
  probe.style.color = percent < 100 ? `color-mix(in srgb, var(${name}) ${percent}%, transparent)` : `var(${name})`;
  document.body.append(probe);
  const used = getComputedStyle(probe).color;
  probe.remove();
  return used;
}

function html(tag, className, ...children) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.append(...children);
  return element;
}

function svg(tag, attributes, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

// Which of the six colours a series has: its place, unless it says where it stands elsewhere.
function hue(one, place) {
  return `series-${((one.colour ?? place) % 6) + 1}`;
}

function legend(series) {
  return html("ul", "legend", ...series.map((one, i) => html("li", hue(one, i), one.name)));
}

function dataTable(headings, rows) {
  const head = html("thead", "", html("tr", "", ...headings.map((h) => html("th", "", h))));
  const body = html("tbody", "", ...rows.map((row) => html("tr", "", ...row.map((cell) => html("td", "", cell)))));
  const wrap = html("div", "table-wrap", html("table", "table", head, body));
  wrap.tabIndex = 0;
  return html("details", "", html("summary", "", "Figures as a table"), wrap);
}

// --- Lines -----------------------------------------------------------------------------------

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

function axisTitle(label, unit) {
  return unit ? `${label} (${unit})` : label;
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

async function drawLine(body, told) {
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

// --- Bars and radar --------------------------------------------------------------------------

function intervalText(one, i) {
  const low = one.low?.[i];
  const high = one.high?.[i];
  const ends = low === undefined || low === null || high === undefined || high === null ? "" : ` (${format(low)} to ${format(high)})`;
  return format(one.values[i]) + ends;
}

function categoryTable(data) {
  const rows = data.categories.map((name, i) => [name, ...data.series.map((one) => intervalText(one, i))]);
  return dataTable(["", ...data.series.map((one) => one.name)], rows);
}

function roundedUp(value) {
  // The next number that a scale from 0 divides into five round parts.
  const size = 10 ** Math.floor(Math.log10(value / 5));
  return 5 * size * [1, 2, 2.5, 4, 5, 10].find((part) => 5 * size * part >= value * (1 - 1e-9));
}

function bounds(data) {
  const ends = data.series.flatMap((one) => [...one.values, ...(one.high ?? [])]).filter((v) => v !== null && v !== undefined);
  const low = data.min ?? 0;
  return [low, data.max ?? low + roundedUp(Math.max(1e-9, Math.max(0, ...ends) - low))];
}

function drawBars(body, data) {
  const width = Math.max(body.clientWidth, 260);
  const longest = Math.max(...data.categories.map((name) => name.length));
  const left = Math.min(Math.max(120, longest * 6 + 16), width * 0.32);
  const right = 16;
  const bar = 9;
  const gap = 14;
  const group = data.series.length * (bar + 3) + gap;
  const top = 6;
  const height = top + data.categories.length * group + 34;
  const [low, high] = bounds(data);
  const x = (value) => left + ((Math.min(Math.max(value, low), high) - low) / (high - low)) * (width - left - right);
  const drawing = svg("svg", { class: "chart-svg", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `Bars of ${data.label}; the figures are in the table below.` });
  const span = high - low;
  const ticks = span > 1 && span <= 10 && Number.isInteger(span) ? span : 5;
  for (let i = 0; i <= ticks; i += 1) {
    const value = low + ((high - low) * i) / ticks;
    drawing.append(
      svg("line", { class: "grid-line", x1: x(value), x2: x(value), y1: top, y2: height - 30 }),
      svg("text", { x: x(value), y: height - 16, "text-anchor": "middle" }, format(value)),
    );
  }
  drawing.append(svg("text", { x: (left + width - right) / 2, y: height - 2, "text-anchor": "middle" }, axisTitle(data.label ?? "", data.unit)));
  data.categories.forEach((name, c) => {
    const y = top + c * group + gap / 2;
    const middle = y + (group - gap) / 2;
    const label = shortened(name, Math.floor((left - 12) / 6));
    const whole = label === name ? [] : [svg("title", {}, name)];
    drawing.append(svg("text", { class: "chart-label", x: left - 10, y: middle + 4, "text-anchor": "end" }, ...whole, label));
    data.series.forEach((one, s) => drawing.append(...barOf(one, c, s, y + s * (bar + 3), bar, x, low)));
  });
  body.replaceChildren(drawing, legend(data.series), categoryTable(data));
}

function barOf(one, c, s, y, bar, x, low) {
  const value = one.values[c];
  if (value === null || value === undefined) return [];
  const parts = [
    svg("rect", { class: `fill series-${(s % 6) + 1}`, x: x(low), y, width: Math.max(x(value) - x(low), 1), height: bar, rx: 2 }, svg("title", {}, `${one.name}: ${intervalText(one, c)}`)),
  ];
  const from = one.low?.[c];
  const to = one.high?.[c];
  if (from !== undefined && from !== null && to !== undefined && to !== null) {
    const middle = y + bar / 2;
    parts.push(svg("path", { class: "whisker", fill: "none", d: `M${x(from)} ${middle}H${x(to)}M${x(from)} ${middle - 3}v6M${x(to)} ${middle - 3}v6` }));
  }
  return parts;
}

function drawRadar(body, data) {
  // Fewer than three axes enclose nothing; the bars beside it say the same.
  body.closest("figure").hidden = data.categories.length < 3;
  const size = 340;
  const radius = 112;
  const centre = size / 2;
  const [low, high] = bounds(data);
  const count = data.categories.length;
  const point = (i, value) => {
    const angle = (Math.PI * 2 * i) / count - Math.PI / 2;
    const distance = ((value - low) / (high - low)) * radius;
    return [centre + Math.cos(angle) * distance, centre + Math.sin(angle) * distance * 0.98];
  };
  const ring = (values) => values.map((value, i) => point(i, value).map((n) => n.toFixed(1)).join(",")).join(" ");
  const drawing = svg("svg", { class: "chart-svg", viewBox: `-30 10 ${size + 60} ${size - 20}`, role: "img", "aria-label": `Radar of ${data.label}; the figures are in the table below.` });
  const rings = Number.isInteger((high - low) / 3) ? 3 : 5;
  for (let i = 1; i <= rings; i += 1) {
    const value = low + ((high - low) * i) / rings;
    drawing.append(svg("polygon", { class: "grid-line", points: ring(new Array(count).fill(value)) }));
    drawing.append(svg("text", { x: centre + 4, y: point(0, value)[1] + 11 }, format(value)));
  }
  data.categories.forEach((name, i) => {
    const [ex, ey] = point(i, high);
    drawing.append(svg("line", { class: "grid-line", x1: centre, y1: centre, x2: ex, y2: ey }));
    const [tx, ty] = point(i, high + (high - low) * 0.13);
    const anchor = Math.abs(tx - centre) < 8 ? "middle" : tx > centre ? "start" : "end";
    drawing.append(svg("text", { class: "chart-label", x: tx, y: ty + 4, "text-anchor": anchor }, name));
  });
  data.series.forEach((one, s) => {
    const values = one.values.map((value) => Math.min(Math.max(value ?? low, low), high));
    drawing.append(svg("polygon", { class: `radar-area series-${(s % 6) + 1}`, points: ring(values) }));
  });
  body.replaceChildren(drawing, legend(data.series), categoryTable(data));
}

// --- Curves along a lineage ------------------------------------------------------------------

function shortened(text, letters) {
  return text.length > letters ? `${text.slice(0, letters - 1)}…` : text;
}

function curveBounds(data) {
  const ends = data.series.flatMap((one) => one.points.flatMap((point) => [point.low ?? point.value, point.high ?? point.value]));
  const room = (Math.max(...ends) - Math.min(...ends)) * 0.1 || 1;
  return [data.min ?? Math.min(...ends) - room, data.max ?? Math.max(...ends) + room];
}

function curvePoint(one, s, point, x, y) {
  const tip = `${point.name}: ${format(point.value)} (${format(point.low)} to ${format(point.high)})${point.made_from ? `; ${point.made_from}` : ""}`;
  return svg(
    "g",
    { class: hue(one, s) },
    svg("path", { class: "whisker", fill: "none", d: `M${x} ${y(point.low)}V${y(point.high)}M${x - 4} ${y(point.low)}h8M${x - 4} ${y(point.high)}h8` }),
    svg("circle", { class: "fill", cx: x, cy: y(point.value), r: 4.5 }, svg("title", {}, tip)),
  );
}

function drawCurve(body, data) {
  const width = Math.max(body.clientWidth, 260);
  const height = 240;
  const [left, right, top, bottom] = [48, 60, 26, 46];
  const [low, high] = curveBounds(data);
  const steps = Math.max(...data.series.map((one) => one.points.length));
  const x = (step, s) => left + 24 + (step / Math.max(steps - 1, 1)) * (width - left - right - 24) + (s - (data.series.length - 1) / 2) * 9;
  const y = (value) => top + ((high - value) / (high - low)) * (height - top - bottom);
  const drawing = svg("svg", { class: "chart-svg", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `Curve of ${data.label} along the lineage; the figures are in the table below.` });
  for (let i = 0; i <= 4; i += 1) {
    const value = low + ((high - low) * i) / 4;
    drawing.append(
      svg("line", { class: "grid-line", x1: left, x2: width - 8, y1: y(value), y2: y(value) }),
      svg("text", { x: left - 8, y: y(value) + 4, "text-anchor": "end" }, new Intl.NumberFormat("en", { maximumSignificantDigits: 3 }).format(value)),
    );
  }
  for (let step = 0; step < steps; step += 1) {
    const names = new Set(data.series.flatMap((one) => one.points.slice(step, step + 1).map((point) => point.label)));
    const middle = { x: x(step, (data.series.length - 1) / 2), "text-anchor": "middle" };
    drawing.append(svg("text", { ...middle, class: "chart-label", y: height - 24 }, [...names].join(" / ")));
    if (data.series.length === 1) drawing.append(svg("text", { ...middle, y: height - 8 }, shortened(data.series[0].points[step].name, Math.floor(width / steps / 6.5))));
  }
  drawing.append(svg("text", { x: 4, y: 12 }, axisTitle(data.label ?? "", data.unit)));
  data.series.forEach((one, s) => {
    const path = one.points.map((point, step) => `${step ? "L" : "M"}${x(step, s).toFixed(1)} ${y(point.value).toFixed(1)}`).join("");
    drawing.append(svg("path", { class: `line ${hue(one, s)}`, "stroke-width": 1.8, d: path }));
    one.points.forEach((point, step) => drawing.append(curvePoint(one, s, point, x(step, s), y)));
  });
  const rows = data.series.flatMap((one) => one.points.map((point, step) => [one.name, step, point.name, `${format(point.value)} (${format(point.low)} to ${format(point.high)})`, point.made_from || "–"]));
  body.replaceChildren(drawing, legend(data.series), dataTable(["Line", "Step", "Model", data.label ?? "", "Made from"], rows.map((row) => row.map(String))));
}

// --- Reading and redrawing -------------------------------------------------------------------

const draw = { line: drawLine, bars: drawBars, radar: drawRadar, curve: drawCurve };

async function read(source) {
  if (source.startsWith("#")) return JSON.parse(document.querySelector(source).textContent);
  const answer = await fetch(source, { headers: { Accept: "application/json" } });
  if (!answer.ok) throw new Error(`${source} answered ${answer.status}`);
  return answer.json();
}

function wanted(figure, state) {
  const address = figure.dataset.source;
  const steps = state.data?.grain ? state.data.series.flatMap((one) => one.x.slice(-1)) : [];
  if (!steps.length) return address;
  // The last stretch may have grown: it is read again.
  return `${address}${address.includes("?") ? "&" : "?"}grain=${encodeURIComponent(state.data.grain)}&since=${Math.floor(Math.min(...steps))}`;
}

// What was read before, with what came since.
function joined(before, data) {
  if (!data.from || !before) return data;
  const old = new Map(before.series.map((one) => [one.name, one]));
  const series = data.series.map((one) => {
    const known = old.get(one.name);
    if (!known) return one;
    const kept = known.x.findIndex((x) => x >= data.from);
    const end = kept < 0 ? known.x.length : kept;
    const longer = { name: one.name };
    for (const part of Object.keys(one)) if (part !== "name") longer[part] = [...known[part].slice(0, end), ...one[part]];
    return longer;
  });
  return { ...data, series };
}

// A drawing can be fed only what has the same curves with the same parts. Few points are marked,
// many are not: passing that number draws anew.
function alike(one, other) {
  const shape = (data) => JSON.stringify(data.series.map((curve) => [curve.name, !!curve.low, curve.x.length < 40]));
  return shape(one) === shape(other);
}

async function refresh(figure, body) {
  const state = drawn.get(figure);
  const before = state.data;
  const data = joined(before, await read(wanted(figure, state)));
  if (JSON.stringify(data) === JSON.stringify(before)) return data;
  state.data = data;
  if (before && state.drawing?.update && alike(before, data)) state.drawing.update(data);
  else await redraw(figure, body);
  return data;
}

async function redraw(figure, body) {
  const state = drawn.get(figure);
  const open = body.querySelector("details")?.open;
  state.drawing?.clear?.();
  state.drawing = undefined;
  if (!state.data.series.length) {
    body.replaceChildren(html("p", "muted small", "No values yet."));
    return;
  }
  state.drawing = await draw[figure.dataset.chart](body, state.data);
  const details = body.querySelector("details");
  if (open && details) details.open = true;
}

async function start(figure) {
  if (drawn.has(figure)) return;
  drawn.set(figure, {});
  const body = html("div", "chart-body");
  const caption = figure.querySelector("figcaption");
  figure.replaceChildren(...(caption ? [caption] : []), body);
  const seconds = Number(figure.dataset.refresh ?? 0);
  const step = async () => {
    if (!figure.isConnected) {
      drawn.get(figure)?.drawing?.clear?.();
      drawn.delete(figure);
      return;
    }
    let ended = false;
    try {
      const unseen = document.hidden || figure.closest("details:not([open])");
      ended = unseen ? false : (await refresh(figure, body)).ended === true;
    } catch (error) {
      if (!body.hasChildNodes()) body.replaceChildren(html("p", "muted small", "The figures could not be read; trying again."));
      console.warn(error.message);
    }
    if (seconds && !ended) setTimeout(step, seconds * 1000);
  };
  await step();
}

// What is folded away is read when it is opened.
function begin(figure) {
  const folded = figure.closest("details:not([open])");
  if (folded) folded.addEventListener("toggle", () => start(figure), { once: true });
  else start(figure);
}

function startAll(root) {
  for (const figure of root.querySelectorAll("figure[data-chart]")) begin(figure);
  if (root.matches?.("figure[data-chart]")) begin(root);
}

function redrawAll() {
  for (const figure of drawn.keys()) {
    const body = figure.querySelector(".chart-body");
    if (figure.isConnected && drawn.get(figure).data) redraw(figure, body);
  }
}

function smooth(control) {
  smoothing = Number(control.value);
  control.parentElement.querySelector("output").textContent = smoothing ? control.value : "none";
  sessionStorage.setItem("smoothing", control.value);
  for (const figure of drawn.keys()) {
    if (figure.dataset.sync && figure.isConnected && drawn.get(figure).data) redraw(figure, figure.querySelector(".chart-body"));
  }
}

// What polling brings anew stands where the person has put it.
function takeUp(root) {
  for (const control of root.querySelectorAll?.("[data-smoothing]") ?? []) {
    control.value = sessionStorage.getItem("smoothing") ?? "0";
    smooth(control);
  }
}

takeUp(document);
document.addEventListener("input", ({ target }) => target.matches?.("[data-smoothing]") && smooth(target));
startAll(document);
document.addEventListener("htmx:load", (event) => takeUp(event.target));
document.addEventListener("htmx:load", (event) => startAll(event.target));
document.addEventListener("themechange", redrawAll);
let resizing;
addEventListener("resize", () => {
  clearTimeout(resizing);
  // uPlot watches its own width; the SVG charts are drawn for a width.
  resizing = setTimeout(redrawAll, 200);
});
