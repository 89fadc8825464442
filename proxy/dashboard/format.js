// Figures as people read them, and elements made without a word of HTML.

export function count(n) {
  if (n == null) return "–";
  if (n >= 1e6) return `${trim(n / 1e6)} M`;
  if (n >= 1e4) return `${trim(n / 1e3)} k`;
  return n.toLocaleString("en", { maximumFractionDigits: n < 10 && n % 1 ? 1 : 0 });
}

export function rate(n) {
  if (!n) return "0";
  return n >= 100 ? count(Math.round(n)) : n >= 10 ? n.toFixed(1) : n.toFixed(2);
}

export function seconds(s) {
  if (s == null) return "–";
  if (s < 0.001) return `${Math.round(s * 1e6)} µs`;
  if (s < 0.01) return `${(s * 1000).toFixed(1)} ms`;
  if (s < 1) return `${Math.round(s * 1000)} ms`;
  if (s < 10) return `${s.toFixed(2)} s`;
  if (s < 120) return `${s.toFixed(0)} s`;
  return span(s);
}

export function span(s) {
  if (s < 60) return `${Math.ceil(s)} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min`;
  if (s < 48 * 3600) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  return `${Math.floor(s / 86400)} days`;
}

export function usd(n) {
  if (n == null) return "–";
  if (n === 0) return "$0";
  const size = Math.abs(n);
  if (size >= 1000) return `$${Math.round(n).toLocaleString("en")}`;
  if (size >= 1) return `$${n.toFixed(2)}`;
  if (size >= 0.01) return `$${n.toFixed(3).replace(/0$/, "")}`;
  const digits = Math.min(9, 1 - Math.floor(Math.log10(size)));
  return `$${n.toFixed(digits)}`;
}

export function share(x) {
  if (x == null || Number.isNaN(x)) return "–";
  const percent = x * 100;
  if (percent > 0 && percent < 0.1) return "<0.1 %";
  return `${percent >= 99.95 || percent === 0 || percent >= 10 ? Math.round(percent) : percent.toFixed(1)} %`;
}

export function clock(unix) {
  return new Date(unix * 1000).toLocaleTimeString("en-GB");
}

export function words(name) {
  return OUTCOMES[name] ?? String(name).replaceAll("_", " ");
}

const OUTCOMES = { client_abort: "client left" };

function trim(n) {
  return n >= 100 ? n.toFixed(0) : n >= 10 ? n.toFixed(1) : n.toFixed(2);
}

// Text is only ever text: what a client or a provider wrote is never read as HTML.
export function h(tag, attributes, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

export function s(tag, attributes, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value == null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child != null));
  return element;
}

export function put(host, ...children) {
  host.replaceChildren(...children.flat().filter((child) => child != null));
}
