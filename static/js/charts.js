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
import { drawLine, setSmoothing } from "./line_charts.js";
import { drawBars, drawCurve, drawRadar, html } from "./svg_charts.js";

const drawn = new Map(); // figure -> {data, redraw}
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
  const share = Number(control.value);
  setSmoothing(share);
  control.parentElement.querySelector("output").textContent = share ? control.value : "none";
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
