// Charts and sparklines in SVG. A chart can be read by pointer, by keys and by its label.

import { clock, h, put, s } from "./format.js";

const HEIGHT = 168;
const TOP = 14;
const FOOT = 18;
const LEFT = 50; // for the figures of the scale

// A figure: `title`, `note` and series of one value for each part; `kind` is bars or lines.
export class Chart {
  #host;
  #at = null; // the part that is being read

  constructor(host, title, note) {
    this.#host = host;
    this.svg = s("svg", { class: "plot", tabindex: "0", role: "img", height: HEIGHT });
    this.legend = h("ul", { class: "legend" });
    this.said = h("output", { class: "said", hidden: true });
    put(
      host,
      h("figcaption", {}, h("h3", {}, title), h("p", { class: "quiet" }, note)),
      h("div", { class: "frame" }, this.svg, this.said),
      this.legend,
    );
    this.title = title;
    this.svg.addEventListener("pointermove", (event) => this.#point(event));
    this.svg.addEventListener("pointerleave", () => this.#read(null));
    this.svg.addEventListener("blur", () => this.#read(null));
    this.svg.addEventListener("keydown", (event) => this.#key(event));
  }

  // `log`: by powers of ten, for what spreads over many of them.
  show(parts, series, { kind, form, log = false }) {
    this.parts = parts;
    this.log = log;
    this.series = series;
    this.kind = kind;
    this.form = form;
    this.#draw();
  }

  #draw() {
    const { parts, kind, form } = this;
    const width = Math.max(200, this.#host.clientWidth);
    const series = this.series.filter((each) => each.values.some((value) => value));
    const heights = parts.map((_, i) =>
      kind === "bars"
        ? series.reduce((sum, each) => sum + (each.values[i] ?? 0), 0)
        : Math.max(0, ...series.map((each) => each.values[i] ?? 0)),
    );
    const x = (i) => LEFT + (i * (width - LEFT)) / parts.length;
    const scale = this.log ? decades(series) : evenly(Math.max(...heights));
    const y = (value) => TOP + (1 - scale.share(value)) * (HEIGHT - TOP - FOOT);
    const marks = [s("line", { class: "base", x1: LEFT, x2: width, y1: HEIGHT - FOOT, y2: HEIGHT - FOOT })];
    for (const value of series.length ? scale.steps : []) {
      const at = y(value);
      marks.push(s("line", { class: "grid", x1: LEFT, x2: width, y1: at, y2: at }));
      marks.push(s("text", { class: "tick", x: 0, y: at + 4 }, form(value)));
    }
    const first = parts[0].t;
    const names = [[LEFT, "start", clock(first).slice(0, 5)], [width, "end", "now"]];
    for (const [at, anchor, text] of names) {
      marks.push(s("text", { class: "tick", x: at, y: HEIGHT - 4, "text-anchor": anchor }, text));
    }
    if (kind === "bars") marks.push(...bars(series, parts, x, y));
    else for (const each of series) marks.push(line(each, parts, x, y));
    if (this.#at != null && series.length) {
      const at = x(this.#at + 0.5);
      marks.push(s("line", { class: "cross", x1: at, x2: at, y1: TOP, y2: HEIGHT - FOOT }));
    }
    if (!series.length) {
      marks.push(
        s("text", { class: "empty", x: (LEFT + width) / 2, y: HEIGHT / 2, "text-anchor": "middle" }, "nothing yet"),
      );
    }
    this.svg.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
    put(this.svg, marks);
    put(
      this.legend,
      series.map((each) =>
        h("li", {}, key(each), `${each.name} `, h("b", {}, each.sum ?? "")),
      ),
    );
    const told = series.map((each) => `${each.name} ${each.sum ?? form(each.values.at(-1) ?? 0)}`);
    this.svg.setAttribute("aria-label", `${this.title}: ${told.join(", ") || "nothing yet"}. Arrow keys read it part by part.`);
    this.#say(width, x, series);
  }

  #say(width, x, series) {
    this.said.hidden = this.#at == null || !series.length;
    if (this.said.hidden) return;
    const i = Math.min(this.#at, this.parts.length - 1);
    put(
      this.said,
      h("strong", {}, clock(this.parts[i].t)),
      series.map((each) =>
        h("span", {}, key(each), each.name, h("b", {}, this.form(each.values[i] ?? 0))),
      ),
    );
    const right = x(i) > width / 2;
    this.said.classList.toggle("left", right);
    this.said.style.left = right ? "auto" : `${x(i + 1) + 8}px`;
    this.said.style.right = right ? `${width - x(i) + 8}px` : "auto";
  }

  #point(event) {
    const box = this.svg.getBoundingClientRect();
    const share = (event.clientX - box.left - LEFT) / (box.width - LEFT);
    this.#read(share < 0 ? null : Math.floor(share * this.parts.length));
  }

  #key(event) {
    const last = this.parts.length - 1;
    const moves = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity };
    if (event.key === "Escape") return this.#read(null);
    if (!(event.key in moves)) return undefined;
    event.preventDefault();
    const from = this.#at ?? last + 1;
    return this.#read(Math.max(0, Math.min(last, from + moves[event.key])));
  }

  #read(at) {
    if (at === this.#at || !this.parts) return;
    this.#at = at == null ? null : Math.max(0, Math.min(this.parts.length - 1, at));
    this.#draw();
  }
}

function key(each) {
  return h("i", { class: `key ${each.color} ${each.dash ? "dashed" : ""}` });
}

function bars(series, parts, x, y) {
  const found = [];
  const wide = Math.max(1, x(1) - x(0) - (x(1) - x(0) > 4 ? 1.5 : 0.5));
  parts.forEach((_, i) => {
    let below = 0;
    for (const each of series) {
      const value = each.values[i] ?? 0;
      if (!value) continue;
      const height = Math.max(0.75, y(below) - y(below + value));
      found.push(
        s("rect", { class: each.color, x: x(i), width: wide, y: y(below) - height, height, fill: "currentColor" }),
      );
      below += value;
    }
  });
  return found;
}

// A gap stays a gap: where nothing was measured, nothing is drawn. A lone point is a dot.
function line(each, parts, x, y) {
  let path = "";
  let drawn = false;
  const dots = [];
  parts.forEach((_, i) => {
    const value = each.values[i];
    if (value == null) {
      drawn = false;
      return;
    }
    const point = `${x(i + 0.5).toFixed(1)} ${y(value).toFixed(1)}`;
    path += `${drawn ? "L" : "M"}${point}`;
    if (!drawn && each.values[i + 1] == null) {
      dots.push(s("circle", { cx: x(i + 0.5), cy: y(value), r: 2, fill: "currentColor" }));
    }
    drawn = true;
  });
  return s("g", { class: each.color }, s("path", { class: `line ${each.dash ? "dash" : ""}`, d: path }), dots);
}

function evenly(most) {
  const top = ceiling(most);
  return { share: (value) => value / top, steps: [top / 2, top] };
}

// From the power of ten below the least value to the one above the most.
function decades(series) {
  const values = series.flatMap((each) => each.values.filter((value) => value > 0));
  const least = Math.floor(Math.log10(Math.min(...values, 1)));
  const most = Math.max(least + 1, Math.ceil(Math.log10(Math.max(...values, 10 ** least))));
  const steps = [];
  for (let power = least + 1; power <= most; power++) steps.push(10 ** power);
  const share = (value) => Math.max(0, (Math.log10(Math.max(value, 10 ** least)) - least) / (most - least));
  return { share, steps };
}

// The least round number that nothing rises above, and whose half is round too.
function ceiling(most) {
  if (!(most > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(most));
  return [1, 1.2, 1.6, 2, 2.4, 3, 4, 5, 6, 8, 10].map((n) => n * power).find((n) => n >= most * 1.02) ?? 12 * power;
}

export function spark(values, color) {
  const width = 120;
  const height = 30;
  const most = Math.max(...values.map((value) => value ?? 0));
  const plot = s("svg", { class: `spark ${color}`, viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", "aria-hidden": "true" });
  const points = values
    .map((value, i) => [(i * width) / (values.length - 1), value == null ? null : height - 2 - (value / (most || 1)) * (height - 5)])
    .filter(([, y]) => y != null);
  const d = points.map(([px, py], i) => `${i ? "L" : "M"}${px.toFixed(1)} ${py.toFixed(1)}`).join("");
  if (!points.length) return plot;
  const area = `${d}L${points.at(-1)[0].toFixed(1)} ${height}L${points[0][0].toFixed(1)} ${height}Z`;
  plot.append(s("path", { class: "area", d: area }), s("path", { class: "line", d }));
  return plot;
}
