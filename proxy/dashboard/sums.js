// Slots of five seconds -> what is shown of a span of time.

const BAD = ["upstream_error", "timeout", "breaker_open", "internal_error"];
const FROM_CACHE = ["exact", "semantic", "joined"];
const SPREADS = ["latency_s", "first_token_s", "overhead_s"];

export class Hour {
  #slots = new Map();

  take(told) {
    this.step = told.step_s;
    this.bounds = told.bounds;
    for (const slot of told.slots) this.#slots.set(slot.t, slot);
    const oldest = told.now - 3700;
    for (const t of this.#slots.keys()) if (t < oldest) this.#slots.delete(t);
    const last = Math.floor(told.now / this.step) * this.step;
    return last;
  }

  forget() {
    this.#slots.clear();
  }

  // Sums of equal parts of the span; each with how many of its seconds have passed.
  parts(now, span, most = 90) {
    const width = Math.max(this.step, Math.ceil(span / most / this.step) * this.step);
    const end = (Math.floor(now / width) + 1) * width;
    const parts = [];
    for (let t = end - Math.ceil(span / width) * width; t < end; t += width) {
      const part = new Sum(this.bounds);
      part.t = t;
      part.seconds_passed = Math.min(now, t + width) - t;
      for (let at = t; at < t + width; at += this.step) {
        const slot = this.#slots.get(at);
        if (slot) part.add(slot);
      }
      parts.push(part);
    }
    return parts;
  }

  all(now, span) {
    const sum = new Sum(this.bounds);
    for (const [t, slot] of this.#slots) if (t > now - span - this.step) sum.add(slot);
    return sum;
  }
}

export class Sum {
  constructor(bounds) {
    this.bounds = bounds;
    for (const name of ["calls", "cache", "seconds", "tokens", "models", "tenants", "documents"]) {
      this[name] = table(); // by names that others chose
    }
    this.cost_usd = 0;
    this.saved_usd = 0;
    for (const name of SPREADS) this[name] = new Array(bounds[name].length + 1).fill(0);
  }

  add(slot) {
    for (const name of ["calls", "cache", "seconds", "tokens"]) addTo(this[name], slot[name]);
    this.cost_usd += slot.cost_usd;
    this.saved_usd += slot.saved_usd;
    for (const name of SPREADS) addRow(this[name], slot[name].counts);
    for (const [name, model] of Object.entries(slot.models)) {
      const own = (this.models[name] ??= {
        calls: 0, bad: 0, cost_usd: 0, spoken_tokens: 0, spoken_s: 0, tokens: table(),
        first_token_s: new Array(this.bounds.first_token_s.length + 1).fill(0),
      });
      for (const key of ["calls", "bad", "cost_usd", "spoken_tokens", "spoken_s"]) own[key] += model[key];
      addTo(own.tokens, model.tokens);
      addRow(own.first_token_s, model.first_token_s.counts);
    }
    for (const [name, tenant] of Object.entries(slot.tenants)) {
      addTo((this.tenants[name] ??= table()), tenant);
    }
    for (const [name, found] of Object.entries(slot.documents)) {
      addTo((this.documents[name] ??= table()), found);
    }
  }

  get all_calls() {
    return total(this.calls);
  }

  get bad() {
    return BAD.reduce((sum, name) => sum + (this.calls[name] ?? 0), 0);
  }

  get eligible() {
    return this.bad + (this.calls.ok ?? 0);
  }

  get from_cache() {
    return FROM_CACHE.reduce((sum, name) => sum + (this.cache[name] ?? 0), 0);
  }

  get cacheable() {
    return this.from_cache + (this.cache.miss ?? 0);
  }

  quantile(share, name) {
    return quantile(share, this.bounds[name], this[name]);
  }
}

// As Prometheus guesses it: evenly spread within a bucket.
export function quantile(share, bounds, counts) {
  const rank = share * counts.reduce((a, b) => a + b, 0);
  if (!rank) return null;
  let below = 0;
  for (let place = 0; place < bounds.length; place++) {
    if (counts[place] && below + counts[place] >= rank) {
      const least = place ? bounds[place - 1] : 0;
      return least + ((bounds[place] - least) * (rank - below)) / counts[place];
    }
    below += counts[place];
  }
  return bounds.at(-1);
}

export function total(sums) {
  return Object.values(sums).reduce((a, b) => a + b, 0);
}

function table() {
  return Object.create(null);
}

function addTo(sums, more) {
  for (const [name, value] of Object.entries(more)) sums[name] = (sums[name] ?? 0) + value;
}

function addRow(sums, row) {
  row.forEach((value, place) => (sums[place] += value));
}
