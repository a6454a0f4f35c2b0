/*
 * Charts as SVG: bars, a radar, a curve along a lineage; and what charts of all kinds are made of.
 * charts.js says what each is given.
 */

const SVG = "http://www.w3.org/2000/svg";
const number = new Intl.NumberFormat("en", { maximumSignificantDigits: 4 });

export function format(value) {
  return value === null || value === undefined ? "–" : number.format(value);
}

export function colour(name, percent = 100) {
  // A custom property may hold light-dark(…): only a used value says which of the two it is.
  const probe = document.createElement("i");
  probe.hidden = true;
  probe.style.color = percent < 100 ? `color-mix(in srgb, var(${name}) ${percent}%, transparent)` : `var(${name})`;
  document.body.append(probe);
  const used = getComputedStyle(probe).color;
  probe.remove();
  return used;
}

export function html(tag, className, ...children) {
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

export function dataTable(headings, rows) {
  const head = html("thead", "", html("tr", "", ...headings.map((h) => html("th", "", h))));
  const body = html("tbody", "", ...rows.map((row) => html("tr", "", ...row.map((cell) => html("td", "", cell)))));
  const wrap = html("div", "table-wrap", html("table", "table", head, body));
  wrap.tabIndex = 0;
  return html("details", "", html("summary", "", "Figures as a table"), wrap);
}

export function axisTitle(label, unit) {
  return unit ? `${label} (${unit})` : label;
}

function shortened(text, letters) {
  return text.length > letters ? `${text.slice(0, letters - 1)}…` : text;
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

export function drawBars(body, data) {
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

export function drawRadar(body, data) {
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

export function drawCurve(body, data) {
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
