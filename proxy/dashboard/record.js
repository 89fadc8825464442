// One call: a row, and what was decided for it.

import { clock, count, h, put, seconds, share, usd, words } from "./format.js";

const MARKS = {
  ok: "●", client_error: "▲", rejected: "■", client_abort: "○",
  upstream_error: "✕", timeout: "✕", breaker_open: "✕", internal_error: "✕",
};

export function row(call) {
  const more = h("div", { class: "record" });
  const tokens = call.tokens;
  const prompt = tokens && tokens.prompt + tokens.prompt_cached;
  const completion = tokens && tokens.completion + tokens.reasoning;
  const model = call.model.served_by ?? call.model.target ?? call.model.requested;
  const fell = call.model.fallback_reason ? h("em", { title: "a fallback" }, " ↪") : null;
  const details = h(
    "details",
    { class: "entry", "data-id": call.id },
    h(
      "summary",
      { class: "call" },
      h("span", { class: "when" }, clock(call.ended)),
      h(
        "span",
        { class: `outcome ${call.outcome}` },
        h("i", { "aria-hidden": "true" }, MARKS[call.outcome] ?? "●"),
        ` ${words(call.outcome)}`,
        call.status === 200 ? null : h("small", {}, ` ${call.status}`),
      ),
      h("span", { class: "model", title: model ?? "" }, short(model) ?? words(call.endpoint), fell),
      h("span", { class: "caller", title: call.tenant ?? "" }, call.tenant ?? "–"),
      h("span", { class: `verdict ${call.cache?.verdict ?? "off"}` }, call.cache?.verdict ?? "off"),
      h("span", { class: "num tokens" }, tokens ? `${count(prompt)} → ${count(completion)}` : "–"),
      h("span", { class: "num cost" }, usd(call.cost_usd)),
      h("span", { class: "num first" }, call.first_token_ms == null ? "–" : seconds(call.first_token_ms / 1000)),
      h("span", { class: "num took" }, seconds(call.duration_ms / 1000)),
    ),
    more,
  );
  details.addEventListener("toggle", () => {
    if (details.open && !more.childElementCount) put(more, ...record(call));
  });
  return details;
}

export function matches(call, { text, outcome, cache }) {
  if (outcome === "!ok" ? call.outcome === "ok" : outcome && call.outcome !== outcome) return false;
  if (cache && (call.cache?.verdict ?? "off") !== cache) return false;
  if (!text) return true;
  const { model, error } = call;
  const said = [
    call.id, call.trace_id, call.tenant, call.team, call.outcome, call.status, call.endpoint,
    model.requested, model.target, model.served_by, model.route?.name, error?.code,
    call.rag?.collection, ...call.attempts.map((each) => each.organisation),
  ];
  return said.some((each) => each != null && String(each).toLowerCase().includes(text));
}

function record(call) {
  const { model, cache, rag, error } = call;
  return [
    error ? h("p", { class: "blame" }, h("strong", {}, error.code), error.message ? ` ${error.message}` : "") : null,
    waterfall(call),
    h(
      "div",
      { class: "facts" },
      facts("Model", [
        ["asked for", model.requested],
        ["route", model.route && `${model.route.name} → ${model.route.to}${scored(model.route.score)}`],
        ["first choice", model.target],
        ["answered by", model.served_by],
        ["fallback for", model.fallback_reason && words(model.fallback_reason)],
        ["stands in for", model.replaced],
        ["fields left out", model.dropped.join(", ")],
        ["passed over", call.passed.map((each) => `${each.target} (${words(each.reason)})`).join(", ")],
      ]),
      facts("Cache", [
        ["verdict", cache ? cache.verdict + (cache.why ? `, ${words(cache.why)}` : "") : "off"],
        ["score", cache?.score],
        ["nearest cosine", cache?.cosine],
        ["found", cache?.tier],
        ["told apart by", cache?.guard && words(cache.guard)],
        ["not by meaning", cache?.bypass && words(cache.bypass)],
        ["audit", cache?.audit],
        ["entry", cache?.entry && `${cache.entry.slice(0, 16)}…`],
        ["age", cache?.age_s == null ? null : seconds(cache.age_s)],
        ["saved", call.saved_usd == null ? null : `${usd(call.saved_usd)}, ${seconds(cache.saved_ms / 1000)}`],
      ]),
      rag
        ? facts("Documents", [
            ["collection", rag.collection],
            ["result", `${rag.result}, ${count(rag.chunks)} ${rag.chunks === 1 ? "passage" : "passages"}`],
            ["best score", rag.top_score],
            ["tokens put in", count(rag.tokens)],
            ["from", rag.sources.map((each) => `${each.document} (${each.score})`).join(", ")],
          ])
        : null,
      facts("Money", [
        ["cost", usd(call.cost_usd)],
        ["prices of", call.prices],
        ["tokens", call.tokens && tokensOf(call.tokens)],
        ["charged", call.paid.map((each) => `${usd(each.usd)} by ${words(each.reason)}${each.reserved_usd ? ` of ${usd(each.reserved_usd)} held` : ""}`).join(", ")],
        ...call.budgets.map((each) => [
          `${each.budget}, ${each.period}`,
          `${usd(each.before_usd)}${each.after_usd == null ? "" : ` + ${usd(Math.max(0, each.after_usd - each.before_usd))}`} of ${usd(each.limit_usd)}${each.hard ? "" : " (soft)"}`,
        ]),
      ]),
      facts("Time", [
        ["in all", ms(call.duration_ms)],
        ["at providers", ms(call.upstream_ms)],
        ["added here", ms(call.overhead_ms)],
        ["provider's own", call.provider_ms?.queue == null ? null : `queue ${ms(call.provider_ms.queue)}, prompt ${ms(call.provider_ms.prompt)}, answer ${ms(call.provider_ms.completion)}`],
        ["did without", call.degraded.join(", ")],
      ]),
      facts("Call", [
        ["id", call.id],
        ["trace", call.trace_id],
        ["at the provider", call.upstream_id],
        ["client's id", call.client_request_id],
        ["endpoint", `${words(call.endpoint)}${call.stream ? ", stream" : ""}`],
        ["ended", call.finish_reason],
        ["bytes in, out", `${count(call.bytes_in)}, ${count(call.bytes_out)}`],
        ["worker", call.worker],
      ]),
    ),
    attempts(call.attempts),
    raw(call),
  ];
}

function waterfall(call) {
  const all = Math.max(call.duration_ms, ...call.timeline.map((each) => each.start_ms + each.ms), 0.001);
  const rows = call.timeline.map((each) => {
    const bar = h("i", { class: `bar ${each.kind}` });
    bar.style.left = `${Math.min(99.6, (100 * each.start_ms) / all)}%`;
    bar.style.width = `${Math.max(0.4, Math.min(100, (100 * each.ms) / all))}%`;
    return h("li", {}, h("span", {}, each.name), h("div", { class: "track" }, bar), h("b", {}, ms(each.ms)));
  });
  if (!rows.length) return null;
  return h("div", { class: "fall" }, h("h4", {}, "How it went"), h("ol", {}, rows));
}

function attempts(list) {
  if (!list.length) return null;
  const left = (each) =>
    each.quota.map((one) => `${one.window} ${count(Math.floor(one.remaining))}/${count(one.limit)}`).join(", ") || "–";
  const heads = ["#", "Target", "Organisation", "Key", "Quota left when chosen", "Result", "From", "Headers", "To"];
  return h(
    "div",
    { class: "scroll", tabindex: "0", role: "region", "aria-label": "Attempts" },
    h(
      "table",
      {},
      h("caption", {}, "Attempts"),
      h("thead", {}, h("tr", {}, heads.map((head) => h("th", { scope: "col" }, head)))),
      h(
        "tbody",
        {},
        list.map((each, i) =>
          h(
            "tr",
            {},
            [
              i + 1, each.target, each.organisation ?? "–", each.key ?? "–", left(each),
              `${words(each.result ?? "under way")}${each.error && each.error !== each.result ? `, ${words(each.error)}` : ""}${each.retry ? ` (again: ${words(each.retry)})` : ""}`,
              ms(each.start_ms), ms(each.headers_ms), ms(each.end_ms),
            ].map((cell) => h("td", {}, String(cell))),
          ),
        ),
      ),
    ),
  );
}

function raw(call) {
  const text = JSON.stringify(call, null, 2);
  const copy = h("button", { type: "button", class: "small" }, "Copy as JSON");
  copy.addEventListener("click", () => copied(copy, text));
  const box = h("details", { class: "raw" }, h("summary", {}, "The whole record"), h("pre", { tabindex: "0" }, text));
  return h("div", { class: "raws" }, box, copy);
}

export async function copied(button, text) {
  const before = button.textContent;
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  } catch {
    button.textContent = "Not allowed to copy";
  }
  setTimeout(() => (button.textContent = before), 1500);
}

function facts(title, list) {
  const known = list.filter(([, value]) => value != null && value !== "" && value !== "–");
  if (!known.length) return null;
  return h(
    "section",
    {},
    h("h4", {}, title),
    h("dl", {}, known.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, String(value))))),
  );
}

function tokensOf(tokens) {
  const parts = [["prompt", tokens.prompt], ["cached", tokens.prompt_cached], ["answer", tokens.completion], ["reasoning", tokens.reasoning]];
  const told = parts.filter(([, n]) => n).map(([name, n]) => `${count(n)} ${name}`).join(", ");
  return told + (tokens.reported ? "" : " (estimated)");
}

function short(target) {
  return target?.split("/").at(-1);
}

function scored(score) {
  return score == null ? "" : ` (${share(score)} alike)`;
}

function ms(value) {
  return value == null ? "–" : seconds(value / 1000);
}
