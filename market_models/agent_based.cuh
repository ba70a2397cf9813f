// The agent-based sampler for the CUDA kernel; model and parameters in agent_based.py, and the same bits as
// agent_based_numba.py. Every lane draws the same event; the lanes share the search of a maker's quote.
#pragma once
#include "zero_intelligence_common.cuh"

namespace ab {

constexpr int NUM_TYPES = 3;
constexpr int MAX_HORIZONS = 3;
constexpr int PRICE_BITS = 8;
constexpr int MAX_TICK = 262144;
constexpr int MAX_GAP = 4194304;
constexpr int WEIGHT_BITS = 28;
constexpr int CHANCE_BITS = 25;
constexpr int STARTED = 0;
constexpr int ANCHOR = 1;
constexpr int FUNDAMENTAL = 2;
constexpr int SMOOTHED = 3;
constexpr int QUOTES = 6;
constexpr int RATE_SHIFT = 0;
constexpr int NUM_DISTANCES = 1;
constexpr int NUM_MAKERS = 2;
constexpr int NUM_HORIZONS = 3;
constexpr int NEWS_RATE = 4;
constexpr int MAKER_RATE = 5;
constexpr int CANCEL_RATE = 6;
constexpr int NEWS_SIZE = 7;
constexpr int REVERSION = 8;
constexpr int HALF_SPREAD = 9;
constexpr int TOLERANCE = 10;
constexpr int MAKER_LOTS = 11;
constexpr int MAX_WALK = 12;
constexpr int SMOOTHING = 13;
constexpr int TYPES = 16;
constexpr int TYPE_WORDS = 6;
constexpr int TYPE_RATE = 0;
constexpr int TYPE_FUNDAMENTAL = 1;
constexpr int TYPE_TREND = 2;
constexpr int TYPE_NOISE = 3;
constexpr int TYPE_EDGE = 4;
constexpr int TYPE_IMPATIENCE = 5;
constexpr int DISTANCES = 40;
constexpr int ACCEPT = 168;
constexpr int LIMIT_LOTS = 296;
constexpr int MARKET_LOTS = 424;

// What every kind of event starts from; prices in 1/256 tick from the anchor.
struct View {
  int anchor;
  int mid;
  int buy, sell;  // what distances of each side count from
};

LOB_FUNC int word_of(const Meta& meta, int word) {
  return static_cast<int>(static_cast<u32>(sum_lanes(select(lane_id() == word, meta.flow, 0))));
}

LOB_FUNC void set_word(Meta& meta, int word, i64 value) {
  meta.flow = select(lane_id() == word, static_cast<int>(value), meta.flow);
}

LOB_FUNC i64 clip(i64 value, i64 bound) { return least(most(value, -bound), bound); }

// value x weight / 2^bits towards 0.
LOB_FUNC i64 weighed(i64 value, i64 weight, int bits) {
  const u64 product = static_cast<u64>(value < 0 ? -value : value) * static_cast<u64>(weight) >> bits;
  return value < 0 ? -static_cast<i64>(product) : static_cast<i64>(product);
}

// value x fraction / 2^32, rounded up with the probability of what is lost; away from 0.
LOB_FUNC i64 part_of(i64 value, int fraction, u32 word) {
  const u64 size = static_cast<u64>(value < 0 ? -value : value);
  const i64 product = static_cast<i64>(size * static_cast<u64>(static_cast<u32>(fraction)) + word >> 32);
  return value < 0 ? -product : product;
}

// A Laplace number of mean size `size`.
LOB_FUNC i64 laplace(u32 word, bool negative, int size) {
  const i64 magnitude = static_cast<i64>(size) * zi::exponential_q16(word) >> 16;
  return negative ? -magnitude : magnitude;
}

// The view of the book; a fresh market takes the first mid for the fundamental value and every smoothed mid.
template <int CAPACITY>
LOB_FUNC View view_of(const Book<CAPACITY>& book, Meta& meta) {
  View view{0, 0, zi::reference_price(book, spec::BUY, meta.reference_tick),
            zi::reference_price(book, spec::SELL, meta.reference_tick)};
  const i64 both = static_cast<i64>(view.buy) + view.sell;
  if (word_of(meta, STARTED) == 0) {
    const i64 anchor = both >> 1;
    set_word(meta, STARTED, 1);
    set_word(meta, ANCHOR, anchor);
    const Lanes<bool> prices = (lane_id() >= FUNDAMENTAL) & (lane_id() < QUOTES);
    meta.flow = select(prices, static_cast<int>(128 * (both - 2 * anchor)), meta.flow);
  }
  view.anchor = word_of(meta, ANCHOR);
  const i64 ticks = clip(i64(view.buy) - view.anchor, MAX_TICK) + clip(i64(view.sell) - view.anchor, MAX_TICK);
  view.mid = static_cast<int>(128 * ticks);  // below 2^26 in size
  return view;
}

LOB_FUNC void news(const FlowInput& flow, Meta& meta, const View& view, u32 place, u32 extra) {
  const i64 value = word_of(meta, FUNDAMENTAL);
  const i64 start = value - part_of(value, flow.params.load(REVERSION), place);
  const i64 jump = laplace(extra, (place & 1u) != 0, flow.params.load(NEWS_SIZE));
  set_word(meta, FUNDAMENTAL, clip(start + jump, i64(MAX_TICK) << PRICE_BITS));
  LOB_UNROLL(1)
  for (int horizon = 0; horizon < MAX_HORIZONS; ++horizon) {
    const i64 smoothed = word_of(meta, SMOOTHED + horizon);
    const i64 step = part_of(i64(view.mid) - smoothed, flow.params.load(SMOOTHING + horizon), place);
    set_word(meta, SMOOTHED + horizon, smoothed + step);
  }
}

// Delta of a trader whose parameters start at `row`.
LOB_FUNC i64 expected_move(const FlowInput& flow, const Meta& meta, int row, i64 mid, const RandomWords& attributes) {
  const int horizon = static_cast<int>(zi::scale(attributes.d, flow.params.load(NUM_HORIZONS)));
  const i64 gap = clip(word_of(meta, FUNDAMENTAL) - mid, MAX_GAP);
  const i64 trend = clip(mid - word_of(meta, SMOOTHED + horizon), MAX_GAP);
  return weighed(gap, zi::scale(attributes.a, flow.params.load(row + TYPE_FUNDAMENTAL)), WEIGHT_BITS) +
         weighed(trend, zi::scale(attributes.b, flow.params.load(row + TYPE_TREND)), WEIGHT_BITS) +
         laplace(attributes.c, (attributes.d & 1u) != 0, flow.params.load(row + TYPE_NOISE));
}

// A distance 1..D from the placement table.
LOB_FUNC int placed(const FlowInput& flow, u32 place) {
  const u64 product = static_cast<u64>(place) * static_cast<u64>(flow.params.load(NUM_DISTANCES));
  u32 column = static_cast<u32>(product >> 32);
  const u32 entry = static_cast<u32>(flow.params.load(DISTANCES + static_cast<int>(column)));
  if ((static_cast<u32>(product) >> 8) >= (entry >> 8)) column = entry & 0xFFu;
  return static_cast<int>(column) + 1;
}

// The order of a trader whose parameters start at `row`.
template <int CAPACITY>
LOB_FUNC Drawn trade(const FlowInput& flow, const Book<CAPACITY>& book, const Meta& meta, const View& view, int row,
                     const RandomWords& word, i64 dt_us) {
  const RandomWords attributes = philox4x32(flow.seed_0, flow.seed_1, static_cast<u32>(meta.draw), 1);
  const i64 move = expected_move(flow, meta, row, view.mid, attributes);
  if ((move < 0 ? -move : move) < flow.params.load(row + TYPE_EDGE)) return {spec::FLOW_NULL, dt_us, no_message()};
  const bool sells = move != 0 ? move < 0 : (attributes.d >> 1 & 1u) != 0;
  const int side = sells ? spec::SELL : spec::BUY, sign = sells ? -1 : 1, reference = sells ? view.sell : view.buy;
  const i64 beyond = sign * (view.mid + move - clip(i64(reference) - view.anchor, MAX_TICK) * (1 << PRICE_BITS));
  const int size = static_cast<int>(word.d >> CHANCE_BITS);
  const bool takes = beyond >= 0 && move != 0;
  const int chance = static_cast<int>(word.d & ((1u << CHANCE_BITS) - 1u));
  Message message = no_message();
  message.side = side;
  if (takes || chance < flow.params.load(row + TYPE_IMPATIENCE)) {
    if (book.num_orders(1 - side) == 0) return {spec::FLOW_NULL, dt_us, no_message()};
    const int walk = static_cast<int>(least(beyond >> PRICE_BITS, i64(flow.params.load(MAX_WALK))));
    message.kind = takes ? spec::IOC : spec::MARKET;
    message.price_tick = takes ? reference + sign * walk : 0;
    message.lots = flow.params.load(MARKET_LOTS + size);
  } else {
    message.kind = spec::LIMIT;
    message.price_tick = reference - sign * placed(flow, word.c);
    message.lots = flow.params.load(LIMIT_LOTS + size);
  }
  return {spec::FLOW_EVENT, dt_us, message};
}

// A maker's look at one of its quotes: post it, cancel it, or leave it.
template <int CAPACITY>
LOB_FUNC Drawn look(const FlowInput& flow, const Book<CAPACITY>& book, Meta& meta, const View& view, u32 place,
                    i64 dt_us) {
  const int quote = static_cast<int>(zi::scale(place, 2 * flow.params.load(NUM_MAKERS))), side = quote & 1;
  const i64 half = flow.params.load(HALF_SPREAD);
  const i64 ticks = side == spec::SELL ? (view.mid + half + (1 << PRICE_BITS) - 1) >> PRICE_BITS
                                       : (view.mid - half) >> PRICE_BITS;
  const i64 target = view.anchor + ticks;
  const int held = word_of(meta, QUOTES + quote), found = held != 0 ? book.find(side, held) : 0;
  const int index = book.row(side) + most(found - 1, 0);
  Message message = no_message();
  message.side = side;
  if (found > 0 && book.owner.load(index) == 0) {
    const i64 off = book.price_tick.load(index) - target;
    if ((off < 0 ? -off : off) <= flow.params.load(TOLERANCE)) return {spec::FLOW_NULL, dt_us, no_message()};
    set_word(meta, QUOTES + quote, 0);
    message.kind = spec::DELETE;
    message.order_id = held;
  } else {
    set_word(meta, QUOTES + quote, meta.next_order_id);  // that the engine will give
    message.kind = spec::LIMIT;
    message.lots = flow.params.load(MAKER_LOTS);
    message.price_tick = static_cast<int>(target);
  }
  return {spec::FLOW_EVENT, dt_us, message};
}

// A cancel of the order that `place` picks: NULL where it is an agent's, or where its distance is thinned out.
template <int CAPACITY>
LOB_FUNC Drawn cancel(const FlowInput& flow, const Book<CAPACITY>& book, const View& view, int side,
                      const RandomWords& word, i64 dt_us) {
  const int index = book.row(side) + static_cast<int>(zi::scale(word.c, book.num_orders(side)));
  if (book.owner.load(index) != 0) return {spec::FLOW_NULL, dt_us, no_message()};
  const i64 price = book.price_tick.load(index);
  i64 away = side == spec::SELL ? price - view.sell : view.buy - price;
  away = least(most(away, i64(1)), i64(flow.params.load(NUM_DISTANCES)));
  if (static_cast<int>(word.d >> 2) >= flow.params.load(ACCEPT + static_cast<int>(away) - 1)) {
    return {spec::FLOW_NULL, dt_us, no_message()};
  }
  Message message = no_message();
  message.kind = spec::DELETE;
  message.side = side;
  message.order_id = book.order_id.load(index);
  return {spec::FLOW_EVENT, dt_us, message};
}

}  // namespace ab

template <int CAPACITY>
LOB_FUNC Drawn sample_flow(const FlowInput& flow, const Book<CAPACITY>& book, Meta& meta) {
  if (flow.params.load(ab::NUM_DISTANCES) <= 0) return {spec::FLOW_EXHAUSTED, 0, no_message()};
  const ab::View view = ab::view_of(book, meta);
  // Every sum of rates is below 2^32 (pack).
  const u32 rate = flow.params.load(ab::CANCEL_RATE), news = flow.params.load(ab::NEWS_RATE);
  const u32 looks = static_cast<u32>(flow.params.load(ab::NUM_MAKERS)) * static_cast<u32>(flow.params.load(ab::MAKER_RATE));
  const u32 cancel_buy = rate * static_cast<u32>(book.num_orders(spec::BUY));
  const u32 before = news + looks + cancel_buy + rate * static_cast<u32>(book.num_orders(spec::SELL));
  u32 total = before;
  LOB_UNROLL(1)
  for (int kind = 0; kind < ab::NUM_TYPES; ++kind) total += flow.params.load(ab::TYPES + ab::TYPE_WORDS * kind);
  const RandomWords word = philox4x32(flow.seed_0, flow.seed_1, static_cast<u32>(meta.draw), 0);
  const i64 dt_us = zi::waiting_time_us(word.b, total, flow.params.load(ab::RATE_SHIFT));
  u32 pick = static_cast<u32>(zi::scale(word.a, total));
  if (pick >= before) {
    int row = ab::TYPES;
    pick -= before;
    LOB_UNROLL(1)
    for (int kind = 1; kind < ab::NUM_TYPES && pick >= static_cast<u32>(flow.params.load(row)); ++kind) {
      pick -= static_cast<u32>(flow.params.load(row));
      row += ab::TYPE_WORDS;
    }
    return ab::trade(flow, book, meta, view, row, word, dt_us);
  }
  if (pick < news) {
    ab::news(flow, meta, view, word.c, word.d);
    return {spec::FLOW_NULL, dt_us, no_message()};
  }
  if (pick < news + looks) return ab::look(flow, book, meta, view, word.c, dt_us);
  const int side = pick - news - looks >= cancel_buy ? spec::SELL : spec::BUY;
  return ab::cancel(flow, book, view, side, word, dt_us);
}
