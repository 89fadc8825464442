// The page: it asks every two seconds, and draws.

import { Chart, spark } from "./draw.js";
import { clock, count, h, put, rate, seconds, share, span, usd, words } from "./format.js";
import { copied, matches, row } from "./record.js";
import { Hour, quantile, total } from "./sums.js";

const EVERY_MS = 2000;
const MOST_CALLS = 300;
const CATCH_UP_S = 300; // how far slots are asked for again that a worker may have had calls in
const MOST_ROWS = 12; // of quotas and breakers: those that need a look come first
const KEY = "groq-proxy admin key";
const $ = (id) => document.getElementById(id);

const OUTCOMES = [
  ["ok", "blue"], ["client_error", "yellow"], ["rejected", "purple"], ["client_abort", "grey"],
  ["upstream_error", "red"], ["timeout", "orange"], ["breaker_open", "sky"], ["internal_error", "ink"],
];
const VERDICTS = [["exact", "green"], ["semantic", "sky"], ["joined", "purple"], ["miss", "grey"]];
const PARTS = [
  ["provider_queue", "their queue", "orange"], ["provider_prompt", "prompt", "yellow"],
  ["provider_completion", "answer", "blue"], ["waits", "waits for a quota", "purple"], ["network", "network", "grey"],
  ["own", "this proxy", "red"],
];
const COLORS = ["blue", "orange", "green", "purple", "sky", "red", "yellow", "grey"];

const hour = new Hour();
const calls = new Map(); // id -> [record, row], those first that ended first
let told = null; // what was heard last
let since = null; // from when on slots are asked for
let found = []; // what was searched for, newest first
let heard = 0; // when the last known call ended
let width = 900; // seconds that are shown
let known = 900; // seconds that were asked for: the whole hour only for who wants to see it
let chosen = false; // whether somebody said so
let paused = false;
let timer = 0;
let failed = 0;

const charts = {
  outcomes: new Chart($("chart-outcomes"), "Calls", "a second, by how they ended"),
  latency: new Chart($("chart-latency"), "First token and whole answer", "what half of the calls took at most, and 95 %"),
  time: new Chart($("chart-time"), "Where the time goes", "a mean call: theirs, the way, ours"),
  tokens: new Chart($("chart-tokens"), "Tokens", "a second, in and out, by model"),
  cache: new Chart($("chart-cache"), "Cache", "cacheable calls a second, by verdict"),
  spend: new Chart($("chart-spend"), "Spending", "dollars an hour, by model"),
};

// Asking

class Refused extends Error {}

async function get(path) {
  const key = sessionStorage.getItem(KEY);
  const headers = key ? { Authorization: `Bearer ${key}` } : {};
  const answer = await fetch(path, { headers, cache: "no-store", signal: AbortSignal.timeout(10_000) });
  if (answer.ok) return answer.json();
  const error = (await answer.json().catch(() => null))?.error;
  const refused = new Refused(error?.message ?? `the gateway answered ${answer.status}`);
  refused.status = answer.status;
  refused.code = error?.code;
  throw refused;
}

async function beat() {
  clearTimeout(timer);
  try {
    const from = since ?? `${known}s`;
    const [live, last] = await Promise.all([
      get(`/admin/live?since=${from}`),
      get(`/admin/calls?limit=${heard ? MOST_CALLS : 100}&since=${Math.max(0, heard - 3)}`),
    ]);
    if (!told && !chosen && Math.max(...live.workers.map((each) => each.uptime_s)) < 300) {
      document.querySelector("input[name=span][value='300']").checked = true; // else it looks empty
      width = 300;
    }
    told = live;
    const until = hour.take(live) - live.step_s;
    // Who did not answer may do so later, and then has had calls meanwhile.
    since = live.unreached.length ? Math.max(live.since, until - CATCH_UP_S) : until;
    remember(last.calls);
    failed = 0;
    draw();
  } catch (error) {
    failed += 1;
    if (error instanceof Refused && [401, 403, 429].includes(error.status)) return ask(error);
    say(`No answer from the gateway: ${error.message}. Trying again.`, "bad");
  }
  return plan();
}

function plan() {
  clearTimeout(timer);
  if (!paused && !document.hidden) timer = setTimeout(beat, EVERY_MS * Math.min(5, failed + 1));
}

function remember(found) {
  for (const call of found) {
    heard = Math.max(heard, call.ended);
    const known = calls.get(call.id);
    const text = JSON.stringify(call);
    if (known && (known[2] === text || known[1].open)) continue; // what is being read stays
    calls.set(call.id, [call, row(call), text]);
  }
  const sorted = [...calls.values()].sort(([a], [b]) => a.ended - b.ended).slice(-MOST_CALLS);
  calls.clear();
  for (const each of sorted) calls.set(each[0].id, each);
}

// Calls that went wrong are remembered longer than the last ones are: they are asked for by name.
async function search() {
  const wish = new URLSearchParams({ limit: MOST_CALLS });
  for (const name of ["outcome", "cache"]) {
    const value = $(`filter-${name}`).value;
    const all = value === "!ok" ? OUTCOMES.map(([outcome]) => outcome).filter((outcome) => outcome !== "ok") : [value];
    if (value) wish.set(name, all.join());
  }
  if ([...wish].length === 1) return;
  try {
    found = (await get(`/admin/calls?${wish}`)).calls.map((call) => [call, calls.get(call.id)?.[1] ?? row(call)]);
    drawCalls();
  } catch {
    // The next beat says what is wrong.
  }
}

// The key

function ask(error) {
  const dialog = $("ask");
  const key = sessionStorage.getItem(KEY);
  sessionStorage.removeItem(KEY);
  $("ask-error").textContent = key ? "That key does not open it." : "";
  if (error.code === "admin_closed") {
    $("ask-error").textContent = `${error.message}. Set PROXY_ADMIN_KEY where the gateway runs and start it again.`;
  }
  say("Waiting for the admin key", "quiet");
  if (!dialog.open) dialog.showModal();
  $("ask-key").focus();
}

$("ask-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const key = $("ask-key").value.trim();
  if (!key) return;
  sessionStorage.setItem(KEY, key);
  $("ask-key").value = "";
  $("ask").close();
  say("Connecting…", "quiet");
  beat();
});
$("ask").addEventListener("cancel", (event) => event.preventDefault());

// Drawing

function draw() {
  const parts = hour.parts(told.now, width);
  const sum = hour.all(told.now, width);
  drawState();
  drawTroubles();
  drawTiles(parts, sum);
  drawCharts(parts, sum);
  drawModels(sum);
  drawTenants(sum);
  drawDocuments(sum);
  drawBudgets();
  drawQuotas();
  drawBreakers();
  drawWorkers();
  drawCalls();
  const fresh = !told.totals.calls && !calls.size;
  $("welcome").hidden = !fresh;
  if (fresh) drawWelcome();
  document.body.dataset.ready = "true";
}

function say(text, mood) {
  $("state").textContent = text;
  $("state").className = `state ${mood}`;
}

function drawState() {
  $("simulated").hidden = !told.simulated;
  const here = told.workers.length;
  const up = Math.max(...told.workers.map((each) => each.uptime_s));
  const busy = told.totals.in_flight ? `, ${count(told.totals.in_flight)} in flight` : "";
  const who = told.configured_workers > 1 ? `${here} of ${told.configured_workers} workers, ` : "";
  const away = told.workers.find((each) => each.ready !== "ready");
  const word = paused ? "Paused" : away ? `Not ready: ${away.ready}` : "Serving";
  say(`${word}, ${who}up ${span(up)}${busy}`, paused ? "quiet" : away ? "bad" : "good");
  $("raw").hidden = Boolean(sessionStorage.getItem(KEY)); // a link takes no key along
  $("about").textContent = `groq-proxy ${told.version}, configuration ${told.config_hash}, at ${clock(told.now)}. Updates every 2 seconds.`;
}

function drawTroubles() {
  const list = [];
  for (const each of told.breakers) {
    if (each.state === "open") list.push(["bad", `${each.target} is left alone${each.open_for_s > 0.5 ? ` for ${span(each.open_for_s)}` : ""}: ${each.forced ? "an admin wants it so" : "it failed too often"}`]);
    else if (each.state === "half_open") list.push(["warn", `${each.target} is being tried again`]);
  }
  for (const each of told.degraded) list.push(["bad", `${each.name} is degraded${each.why ? `: ${each.why}` : ": calls did without it in the last minute"}`]);
  for (const each of told.unreached) list.push(["bad", `worker ${each} does not answer`]);
  for (const each of told.budgets) {
    const used = each.settled_usd / each.limit_usd;
    if (used >= 1) list.push([each.hard ? "bad" : "warn", `${each.budget}, ${each.period}: the budget is used up`]);
    else if (each.ends_at) list.push(["warn", `${each.budget}, ${each.period}: at this rate the budget ends at ${clock(each.ends_at).slice(0, 5)}`]);
  }
  for (const each of told.quotas) {
    if (each.closed_for_s > 0) list.push(["warn", `${each.account} has no quota for ${each.provider}/${each.model} for ${span(each.closed_for_s)}`]);
  }
  const signs = { bad: "✕", warn: "▲" };
  const before = [...$("troubles").children].map((each) => each.dataset.text).join();
  const shown = list.slice(0, 8);
  if (before === shown.map(([, text]) => text).join()) return; // else it is read out again and again
  put($("troubles"), shown.map(([mood, text]) => h("li", { class: mood, "data-text": text }, h("i", { "aria-hidden": "true" }, signs[mood]), text)));
}

function drawTiles(parts, sum) {
  const lately = hour.all(told.now, 60);
  const hours = Math.min(width, Math.max(60, sumSeconds(parts))) / 3600;
  const perSecond = (part) => part.all_calls / Math.max(1, part.seconds_passed);
  const minutes = width === 3600 ? "1 h" : `${width / 60} min`;
  const p = (q, name) => seconds(sum.quantile(q, name));
  const tiles = [
    ["Calls", rate(lately.all_calls / 60), "/s", `${count(sum.all_calls)} in ${minutes}`, parts.map(perSecond), "blue"],
    ["Failed", sum.eligible ? share(sum.bad / sum.eligible) : "–", "", `${count(sum.bad)} of ${count(sum.eligible)}`, parts.map((part) => (part.eligible ? part.bad / part.eligible : null)), "red"],
    ["First token", p(0.5, "first_token_s"), "", `95 % within ${p(0.95, "first_token_s")}`, parts.map((part) => part.quantile(0.5, "first_token_s")), "green"],
    ["Added here", p(0.5, "overhead_s"), "", `95 % within ${p(0.95, "overhead_s")}`, parts.map((part) => part.quantile(0.5, "overhead_s")), "orange"],
    ["Spending", usd(sum.cost_usd / hours), "/h", `${usd(sum.cost_usd)} in ${minutes}`, parts.map((part) => part.cost_usd), "purple"],
    ["From the cache", sum.cacheable ? share(sum.from_cache / sum.cacheable) : "–", "", `${usd(sum.saved_usd)} saved`, parts.map((part) => (part.cacheable ? part.from_cache / part.cacheable : null)), "sky"],
  ];
  put(
    $("tiles"),
    tiles.map(([name, value, unit, note, values, color]) =>
      h("div", {}, h("dt", {}, name), h("dd", { class: "big" }, value, h("small", {}, unit)), h("dd", { class: "quiet" }, note), h("dd", {}, spark(values, color))),
    ),
  );
}

// Of the span that is shown, what this gateway was there for.
function sumSeconds(parts) {
  const first = parts.find((part) => part.all_calls || part.cost_usd);
  return first ? told.now - first.t : 60;
}

function drawCharts(parts, sum) {
  const passed = (part) => Math.max(1, part.seconds_passed);
  const perSecond = (values) => parts.map((part, i) => values[i] / passed(part));
  const of = (table, key) => parts.map((part) => part[table][key] ?? 0);
  charts.outcomes.show(
    parts,
    OUTCOMES.map(([name, color]) => ({ name: words(name), color, values: perSecond(of("calls", name)), sum: count(sum.calls[name] ?? 0) })),
    { kind: "bars", form: (n) => `${rate(n)}/s` },
  );
  const quantiles = [
    ["first token", "green", "first_token_s", 0.5], ["95 %", "green", "first_token_s", 0.95],
    ["whole answer", "blue", "latency_s", 0.5], ["95 % ", "blue", "latency_s", 0.95],
  ];
  charts.latency.show(
    parts,
    quantiles.map(([name, color, what, q]) => ({ name, color, dash: q > 0.5, values: parts.map((part) => part.quantile(q, what)), sum: seconds(sum.quantile(q, what)) })),
    { kind: "lines", form: seconds, log: true },
  );
  const mean = (part, name) => {
    const all = part.seconds;
    if (!all.calls) return 0;
    const theirs = all.provider_queue + all.provider_prompt + all.provider_completion;
    return (name === "network" ? Math.max(0, all.upstream - theirs - all.waits) : all[name]) / all.calls;
  };
  charts.time.show(
    parts,
    PARTS.map(([key, name, color]) => ({ name, color, values: parts.map((part) => mean(part, key)), sum: seconds(mean(sum, key)) })),
    { kind: "bars", form: seconds },
  );
  const names = ranked(sum.models, (model) => total(model.tokens));
  charts.tokens.show(
    parts,
    names.map((name, i) => ({ name: short(name), color: COLORS[i % COLORS.length], values: perSecond(parts.map((part) => total(part.models[name]?.tokens ?? {}))), sum: count(total(sum.models[name].tokens)) })),
    { kind: "bars", form: (n) => `${rate(n)}/s` },
  );
  charts.cache.show(
    parts,
    VERDICTS.map(([name, color]) => ({ name, color, values: perSecond(of("cache", name)), sum: count(sum.cache[name] ?? 0) })),
    { kind: "bars", form: (n) => `${rate(n)}/s` },
  );
  charts.spend.show(
    parts,
    names.map((name, i) => ({ name: short(name), color: COLORS[i % COLORS.length], values: perSecond(parts.map((part) => (part.models[name]?.cost_usd ?? 0) * 3600)), sum: usd(sum.models[name].cost_usd) })),
    { kind: "bars", form: (n) => `${usd(n)}/h` },
  );
}

function ranked(table, by) {
  return Object.keys(table).filter((name) => by(table[name]) > 0).sort((a, b) => by(table[b]) - by(table[a])).slice(0, 8);
}

function short(name) {
  return name.split("/").at(-1);
}

function table(host, heads, rows, none) {
  if (!rows.length) return put(host, h("tbody", {}, h("tr", {}, h("td", { class: "quiet" }, none))));
  return put(
    host,
    h("thead", {}, h("tr", {}, heads.map((head, i) => h("th", { scope: "col", class: i ? "num" : null }, head)))),
    h("tbody", {}, rows.map((cells) => h("tr", {}, cells.map((cell, i) => (i ? h("td", { class: "num" }, cell) : h("th", { scope: "row" }, cell)))))),
  );
}

function drawModels(sum) {
  const names = Object.keys(sum.models).sort((a, b) => sum.models[b].calls - sum.models[a].calls);
  table(
    $("models"),
    ["Model", "Calls", "Failed", "First token", "95 %", "Tokens a second", "In", "Out", "Cost"],
    names.map((name) => {
      const model = sum.models[name];
      const first = (q) => seconds(quantile(q, told.bounds.first_token_s, model.first_token_s));
      const { prompt = 0, prompt_cached = 0, completion = 0, reasoning = 0 } = model.tokens;
      const speed = model.spoken_s ? count(Math.round(model.spoken_tokens / model.spoken_s)) : "–";
      return [name, count(model.calls), model.bad ? share(model.bad / model.calls) : "0", first(0.5), first(0.95), speed, count(prompt + prompt_cached), count(completion + reasoning), usd(model.cost_usd)];
    }),
    "No calls in this span.",
  );
}

function drawTenants(sum) {
  const names = Object.keys(sum.tenants).sort((a, b) => sum.tenants[b].cost_usd - sum.tenants[a].cost_usd || sum.tenants[b].calls - sum.tenants[a].calls);
  table(
    $("tenants"),
    ["Key", "Calls", "Failed", "Tokens", "Cost"],
    names.slice(0, 50).map((name) => {
      const tenant = sum.tenants[name];
      return [name, count(tenant.calls), tenant.bad ? share(tenant.bad / tenant.calls) : "0", count(tenant.tokens), usd(tenant.cost_usd)];
    }),
    "No calls in this span.",
  );
}

function drawDocuments(sum) {
  const names = Object.keys(sum.documents).sort((a, b) => sum.documents[b].calls - sum.documents[a].calls);
  $("documents-part").hidden = !names.length;
  table(
    $("documents"),
    ["Collection", "Calls", "Nothing found", "Failed", "Passages", "Best score", "Took"],
    names.slice(0, 50).map((name) => {
      const { calls, empty, failed, passages, seconds: took, scores, scored } = sum.documents[name];
      const part = (n) => (n ? share(n / calls) : "0");
      return [name, count(calls), part(empty), part(failed), (passages / calls).toFixed(1), scored ? (scores / scored).toFixed(2) : "–", seconds(took / calls)];
    }),
    "",
  );
}

function bar(title, aside, used, mood, note) {
  const inner = h("i", { class: mood });
  inner.style.width = `${Math.max(0, Math.min(100, used * 100))}%`;
  const track = h("div", { class: "track", role: "meter", "aria-label": title, "aria-valuemin": 0, "aria-valuemax": 100, "aria-valuenow": Math.round(Math.min(1, used) * 100) }, inner);
  return h("li", {}, h("p", {}, h("strong", {}, title), h("span", {}, aside)), track, note ? h("p", { class: "quiet" }, note) : null);
}

function drawBudgets() {
  const items = told.budgets.map((each) => {
    const used = each.limit_usd ? each.settled_usd / each.limit_usd : 1;
    const mood = used >= 1 ? "bad" : used >= 0.8 || each.ends_at ? "warn" : "good";
    const notes = [];
    if (each.reserved_usd > 0) notes.push(`${usd(each.reserved_usd)} held for calls in flight`);
    if (each.ends_at) notes.push(`at this rate used up at ${clock(each.ends_at).slice(0, 5)}`);
    if (each.resets) notes.push(`begins anew in ${span(Math.max(0, each.resets - told.now))}`);
    const kind = each.hard ? "" : " (only warns)";
    return bar(`${each.budget}, ${each.period}${kind}`, `${usd(each.settled_usd)} of ${usd(each.limit_usd)}`, used, mood, notes.join("; "));
  });
  put($("budgets"), items.length ? items : h("li", { class: "quiet" }, "None is set: add `budgets` to the configuration, or make a key with one."));
}

function drawQuotas() {
  const least = (domain) => Math.min(...domain.windows.map((each) => each.remaining / each.limit), domain.closed_for_s ? 0 : 1);
  const items = told.quotas.toSorted((a, b) => least(a) - least(b)).slice(0, MOST_ROWS).map((domain) => {
    const rows = domain.windows.map((each) => {
      const left = each.limit ? each.remaining / each.limit : 1;
      const mood = left < 0.1 ? "bad" : left < 0.3 ? "warn" : "good";
      const full = each.full_at - told.now > 1 ? `full in ${span(each.full_at - told.now)}` : "full";
      const inner = h("i", { class: mood });
      inner.style.width = `${left * 100}%`;
      const label = `${domain.account}, ${domain.model}, ${each.window}`;
      return h(
        "div",
        { class: "quota", title: `by ${each.source}` },
        h("b", {}, each.window),
        h("div", { class: "track", role: "meter", "aria-label": label, "aria-valuemin": 0, "aria-valuemax": 100, "aria-valuenow": Math.round(left * 100) }, inner),
        h("span", {}, `${count(Math.floor(each.remaining))} of ${count(each.limit)}`),
        h("span", { class: "quiet" }, full),
      );
    });
    const rest = domain.closed_for_s > 0 ? `rests for ${span(domain.closed_for_s)}` : domain.waiting ? `${domain.waiting} calls wait` : "";
    return h("li", {}, h("p", {}, h("strong", {}, domain.account), h("span", {}, `${domain.provider}/${domain.model}`), rest ? h("em", { class: "warn" }, rest) : null), rows);
  });
  put($("quotas"), items.length ? items : h("li", { class: "quiet" }, "No provider has told of a limit yet."));
}

function drawBreakers() {
  const signs = { closed: ["good", "●", "trusted"], half_open: ["warn", "▲", "tried again"], open: ["bad", "✕", "left alone"] };
  const rank = (each) => Object.keys(signs).indexOf(each.state) * 1e9 + each.calls;
  const items = told.breakers.toSorted((a, b) => rank(b) - rank(a) || b.calls - a.calls).slice(0, MOST_ROWS).map((each) => {
    const [mood, sign, word] = signs[each.state];
    const more = each.calls ? `${count(each.failures)} of ${count(each.calls)} failed lately` : "no calls lately";
    return h("li", {}, h("i", { class: mood, "aria-hidden": "true" }, sign), h("strong", {}, each.target), h("span", {}, `${word}${each.forced ? " (forced)" : ""}`), h("span", { class: "quiet" }, more));
  });
  put($("breakers"), items.length ? items : h("li", { class: "quiet" }, "No target has been asked yet."));
}

function drawWorkers() {
  put(
    $("workers"),
    told.workers.map((each) =>
      h(
        "li",
        {},
        h("i", { class: each.ready === "ready" ? "good" : "bad", "aria-hidden": "true" }, each.ready === "ready" ? "●" : "✕"),
        h("strong", {}, `worker ${each.worker}`),
        h("span", {}, `up ${span(each.uptime_s)}${each.restarts ? `, restarted ${each.restarts}×` : ""}`),
        h("span", { class: "quiet" }, `${count(each.calls)} calls, ${each.in_flight} in flight, ${each.config_hash}`),
      ),
    ),
    told.unreached.map((index) => h("li", {}, h("i", { class: "bad", "aria-hidden": "true" }, "✕"), h("strong", {}, `worker ${index}`), h("span", {}, "does not answer"))),
  );
}

function drawCalls() {
  const wish = { text: $("filter-text").value.trim().toLowerCase(), outcome: $("filter-outcome").value, cache: $("filter-cache").value };
  const wished = wish.outcome || wish.cache ? found.filter(([call]) => !calls.has(call.id)) : [];
  const shown = [...[...calls.values()].reverse(), ...wished].filter(([call]) => matches(call, wish)).slice(0, 100).map(([, element]) => element);
  const list = $("list");
  // Rows stay the same elements: what is open stays open, what has the focus keeps it.
  const keep = new Set(shown);
  for (const element of [...list.children]) if (!keep.has(element)) element.remove();
  shown.forEach((element, i) => {
    if (list.children[i] !== element) list.insertBefore(element, list.children[i] ?? null);
  });
  $("none").hidden = Boolean(shown.length) || !calls.size;
  $("count").textContent = calls.size ? `${shown.length} shown` : "";
}

function drawWelcome() {
  const key = told.keys_needed ? "gp-..." : "unused";
  const model = "openai/gpt-oss-20b";
  const pastes = [
    ["Shell", `curl ${told.base_url}/v1/chat/completions \\\n  -H "Content-Type: application/json"${told.keys_needed ? ` \\\n  -H "Authorization: Bearer ${key}"` : ""} \\\n  -d '{"model": "${model}", "messages": [{"role": "user", "content": "Hello!"}]}'`],
    ["Python, OpenAI SDK", `from openai import OpenAI\n\nclient = OpenAI(base_url="${told.base_url}/v1", api_key="${key}")\nanswer = client.chat.completions.create(\n    model="${model}",\n    messages=[{"role": "user", "content": "Hello!"}],\n)\nprint(answer.choices[0].message.content)`],
    ["Python, Groq SDK", `from groq import Groq\n\nclient = Groq(base_url="${told.base_url}", api_key="${key}")\nanswer = client.chat.completions.create(\n    model="${model}",\n    messages=[{"role": "user", "content": "Hello!"}],\n)\nprint(answer.choices[0].message.content)`],
  ];
  const host = $("pastes");
  if (host.dataset.made === told.base_url + key) return;
  host.dataset.made = told.base_url + key;
  put(
    host,
    pastes.map(([title, text]) => {
      const copy = h("button", { type: "button", class: "small" }, "Copy");
      copy.addEventListener("click", () => copied(copy, text));
      return h("figure", {}, h("figcaption", {}, title, copy), h("pre", { tabindex: "0" }, text));
    }),
  );
}

// What people do

for (const input of document.querySelectorAll("input[name=span]")) {
  input.addEventListener("change", () => {
    width = Number(input.value);
    chosen = true;
    if (width > known) {
      known = width;
      since = null;
      if (!paused) beat();
    }
    if (told) draw();
  });
}
$("pause").addEventListener("click", () => {
  paused = !paused;
  $("pause").setAttribute("aria-pressed", String(paused));
  $("pause").textContent = paused ? "Go on" : "Pause";
  if (told) drawState();
  if (paused) clearTimeout(timer);
  else beat();
});
$("filter").addEventListener("submit", (event) => event.preventDefault());
$("filter").addEventListener("input", () => told && drawCalls());
for (const name of ["outcome", "cache"]) $(`filter-${name}`).addEventListener("change", search);
document.addEventListener("visibilitychange", () => (document.hidden ? clearTimeout(timer) : paused || beat()));
addEventListener("resize", () => told && draw());

beat();
