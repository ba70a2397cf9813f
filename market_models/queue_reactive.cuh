// The queue-reactive sampler for the CUDA kernel; model and parameters in queue_reactive.py, and the same bits as
// queue_reactive_numba.py. The lanes share the walk over the orders; every lane draws the same event.
#pragma once
#include "zero_intelligence_common.cuh"

namespace qr {

constexpr int MAX_BANDS = 8;
constexpr int MAX_SPREADS = 4;
constexpr int MAX_BUCKETS = 16;
constexpr int CLIP_LOTS = 2097152;
constexpr int UNUSED_EDGE = 2147483647;
constexpr int RATE_SHIFT = 0;
constexpr int NUM_BANDS = 1;
constexpr int NUM_SPREADS = 2;
constexpr int TOP_BUCKET = 3;
constexpr int EVENT_LOTS = 4;
constexpr int NUM_FAR = 5;
constexpr int FAR_LIMIT_RATE = 6;
constexpr int FAR_CANCEL_RATE = 7;
constexpr int BAND_EDGES = 8;
constexpr int SPREAD_EDGES = 16;
constexpr int LIMIT_RATES = 20;
constexpr int CANCEL_RATES = 532;
constexpr int MARKET_RATES = 1044;
constexpr int FAR_DISTANCES = 1108;
constexpr int LIMIT_LOTS = 1236;
constexpr int MARKET_LOTS = 1364;

constexpr int WORST_KEY = -2147483647 - 1;

enum Kind { NONE, LIMIT, CANCEL, MARKET };

struct Event {
  Kind kind;
  int band;
  int lowest;  // lowest slot of the band's orders
  int count;
  i64 before;  // sum of the rates before this one; of all of the side's for NONE
};

// The widest where a side has no background order.
template <int CAPACITY>
LOB_FUNC int spread_bucket(Words params, const Book<CAPACITY>& book) {
  const int bid = zi::best_background(book, spec::BUY), ask = zi::best_background(book, spec::SELL);
  if (bid == 0 || ask == 0) return params.load(NUM_SPREADS) - 1;
  const i64 ask_tick = book.price_tick.load(book.row(spec::SELL) + ask - 1);
  const i64 spread = least(ask_tick - book.price_tick.load(book.row(spec::BUY) + bid - 1), i64(UNUSED_EDGE));
  int bucket = 0;
  for (int edge = 0; edge < MAX_SPREADS; ++edge) bucket += spread > params.load(SPREAD_EDGES + edge) ? 1 : 0;
  return bucket;
}

LOB_FUNC int queue_bucket(Words params, i64 lots) {
  const u32 event_lots = static_cast<u32>(params.load(EVENT_LOTS));
  return least(static_cast<int>((static_cast<u32>(lots) + event_lots - 1u) / event_lots), params.load(TOP_BUCKET));
}

// The orders among the `top` lowest slots that are at least as good as `key`: their lots, and the slots below them.
template <int CAPACITY>
LOB_FUNC Level held_to(const Book<CAPACITY>& book, int side, int top, int key) {
  Level level{0, top};
  while (level.below > 0) {
    const Lanes<int> slot = (level.below - 1) - lane_id();
    const Lanes<bool> inside = slot >= 0;
    const Lanes<int> price = book.price_tick.load_if(inside, book.row(side) + slot, 0);
    const Lanes<bool> taken = inside & ((price ^ -side) >= key);
    const Lanes<int> lots = book.lots.load_if(taken, book.row(side) + slot, 0);
    level.lots += sum_lanes(select(lots > CLIP_LOTS, Lanes<int>(CLIP_LOTS), lots));
    const int found = popc(ballot(taken));
    level.below -= found;
    if (found < 32) break;
  }
  return level;
}

// The key of the price at this distance; beyond the integers that of the last of them.
LOB_FUNC int key_at(int side, int reference, int away) {
  const i64 tick = side == spec::SELL ? i64(reference) + away : i64(reference) - away;
  return key_of(side, static_cast<int>(least(most(tick, i64(WORST_KEY)), i64(UNUSED_EDGE))));
}

// Lots at or before the best background price; of the whole side where it has no background order.
template <int CAPACITY>
LOB_FUNC i64 best_lots(const Book<CAPACITY>& book, int side) {
  const int best = zi::best_background(book, side);
  const int key = best > 0 ? key_of(side, book.price_tick.load(book.row(side) + best - 1)) : WORST_KEY;
  return held_to(book, side, book.num_orders(side), key).lots;
}

// The rate of the side that `pick` falls in.
template <int CAPACITY>
LOB_FUNC Event side_event(Words params, const Book<CAPACITY>& book, int side, int spread, int reference, i64 pick) {
  const int bands = params.load(NUM_BANDS);
  int top = book.num_orders(side);
  i64 before = 0;
  LOB_UNROLL(1)
  for (int band = 0; band < bands; ++band) {
    const Level level = held_to(book, side, top, key_at(side, reference, params.load(BAND_EDGES + band)));
    const int cell = (spread * MAX_BANDS + band) * MAX_BUCKETS + queue_bucket(params, level.lots);
    const i64 limit = params.load(LIMIT_RATES + cell), cancel = params.load(CANCEL_RATES + cell);
    if (pick < before + limit) return {LIMIT, band, 0, 0, before};
    before += limit;
    if (pick < before + cancel) return {CANCEL, band, level.below, top - level.below, before};
    before += cancel;
    top = level.below;
  }
  const i64 limit = params.load(FAR_LIMIT_RATE), cancel = static_cast<i64>(params.load(FAR_CANCEL_RATE)) * top;
  if (pick < before + limit) return {LIMIT, bands, 0, 0, before};
  before += limit;
  if (pick < before + cancel) return {CANCEL, bands, 0, top, before};
  before += cancel;
  const int bucket = queue_bucket(params, best_lots(book, side));
  const i64 market = params.load(MARKET_RATES + spread * MAX_BUCKETS + bucket);
  if (pick < before + market) return {MARKET, bands, 0, 0, before};
  return {NONE, bands, 0, 0, before + market};
}

// Uniform in the band, beyond the last from the alias table.
LOB_FUNC int limit_distance(Words params, int band, u32 place) {
  const int last = band > 0 ? params.load(BAND_EDGES + band - 1) : 0;
  if (band < params.load(NUM_BANDS)) {
    return last + 1 + static_cast<int>(zi::scale(place, params.load(BAND_EDGES + band) - last));
  }
  const u64 product = static_cast<u64>(place) * static_cast<u64>(params.load(NUM_FAR));
  u32 column = static_cast<u32>(product >> 32);
  const u32 entry = static_cast<u32>(params.load(FAR_DISTANCES + static_cast<int>(column)));
  if ((static_cast<u32>(product) >> 8) >= (entry >> 8)) column = entry & 0xFFu;
  return last + 1 + static_cast<int>(column);
}

// The message of an event; NULL where a cancel falls on an agent's order.
template <int CAPACITY>
LOB_FUNC Drawn drawn_event(const FlowInput& flow, const Book<CAPACITY>& book, int side, const Event& event,
                           const RandomWords& word, i64 dt_us, int reference) {
  Message message = no_message();
  const int size = static_cast<int>(word.d >> 25);
  message.side = side;
  if (event.kind == LIMIT) {
    const int away = limit_distance(flow.params, event.band, word.c);
    message.kind = spec::LIMIT;
    message.lots = flow.params.load(LIMIT_LOTS + size);
    message.price_tick = side == spec::SELL ? reference + away : reference - away;
  } else if (event.kind == MARKET) {
    message.kind = spec::MARKET;
    message.side = 1 - side;
    message.lots = flow.params.load(MARKET_LOTS + size);
  } else {
    const int index = book.row(side) + event.lowest + static_cast<int>(zi::scale(word.c, event.count));
    if (book.owner.load(index) != 0) return {spec::FLOW_NULL, dt_us, no_message()};
    message.kind = spec::DELETE;
    message.order_id = book.order_id.load(index);
  }
  return {spec::FLOW_EVENT, dt_us, message};
}

}  // namespace qr

template <int CAPACITY>
LOB_FUNC Drawn sample_flow(const FlowInput& flow, const Book<CAPACITY>& book, Meta& meta) {
  if (flow.params.load(qr::TOP_BUCKET) <= 0) return {spec::FLOW_EXHAUSTED, 0, no_message()};
  const int spread = qr::spread_bucket(flow.params, book);
  const RandomWords word = philox4x32(flow.seed_0, flow.seed_1, static_cast<u32>(meta.draw), 0);
  i64 buy_total = 0, total = 0, pick = NEVER;
  int side = spec::BUY, reference = 0;
  qr::Event event{qr::NONE, 0, 0, 0, 0};
  LOB_UNROLL(1)  // one copy of the walk: bids and asks for the sum, then the side that the pick falls on
  for (int walk = 0; walk < 3; ++walk) {
    reference = zi::reference_price(book, side, meta.reference_tick);
    event = qr::side_event(flow.params, book, side, spread, reference, pick);
    if (walk == 0) {
      buy_total = event.before;
      side = spec::SELL;
    } else if (walk == 1) {
      total = buy_total + event.before;
      pick = zi::scale(word.a, total);
      side = pick >= buy_total ? spec::SELL : spec::BUY;
      pick -= side == spec::SELL ? buy_total : 0;
    }
  }
  const i64 dt_us = zi::waiting_time_us(word.b, total, flow.params.load(qr::RATE_SHIFT));
  return qr::drawn_event(flow, book, side, event, word, dt_us, reference);
}
