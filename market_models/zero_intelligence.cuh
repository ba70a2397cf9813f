// The zero-intelligence sampler for the CUDA kernel; model and parameters in zero_intelligence.py, and the same bits as
// zero_intelligence_numba.py. Every lane draws the same event: integers only, no loop over orders.
#pragma once
#include "zero_intelligence_common.cuh"

namespace zi {

constexpr int LIMIT_RATE = 0;
constexpr int MARKET_RATE = 1;
constexpr int CANCEL_RATE = 2;
constexpr int RATE_SHIFT = 3;
constexpr int NUM_DISTANCES = 4;
constexpr int DISTANCES = 8;
constexpr int ACCEPT = 136;
constexpr int LIMIT_LOTS = 264;
constexpr int MARKET_LOTS = 392;

template <int CAPACITY>
LOB_FUNC Message limit_order(const FlowInput& flow, const Book<CAPACITY>& book, int side, u32 place, u32 size,
                             int reference_tick) {
  const u64 product = static_cast<u64>(place) * static_cast<u64>(flow.params.load(NUM_DISTANCES));
  u32 column = static_cast<u32>(product >> 32);
  const u32 entry = static_cast<u32>(flow.params.load(DISTANCES + static_cast<int>(column)));
  if ((static_cast<u32>(product) >> 8) >= (entry >> 8)) column = entry & 0xFFu;
  const int away = static_cast<int>(column) + 1, reference = reference_price(book, side, reference_tick);
  Message message = no_message();
  message.kind = spec::LIMIT;
  message.side = side;
  message.lots = flow.params.load(LIMIT_LOTS + static_cast<int>(size >> 25));
  message.price_tick = side == spec::SELL ? reference + away : reference - away;
  return message;
}

// A cancel of the order that `place` picks: NULL where it is an agent's, or where its distance is thinned out.
template <int CAPACITY>
LOB_FUNC Drawn cancel(const FlowInput& flow, const Book<CAPACITY>& book, int side, u32 place, u32 chance,
                      int reference_tick) {
  const int slot = static_cast<int>(scale(place, book.num_orders(side)));
  const int index = book.row(side) + slot;
  if (book.owner.load(index) != 0) return {spec::FLOW_NULL, 0, no_message()};
  i64 away = static_cast<i64>(book.price_tick.load(index)) - reference_price(book, side, reference_tick);
  away = side == spec::BUY ? -away : away;
  away = least(most(away, i64(1)), i64(flow.params.load(NUM_DISTANCES)));
  if (static_cast<int>(chance >> 2) >= flow.params.load(ACCEPT + static_cast<int>(away) - 1)) {
    return {spec::FLOW_NULL, 0, no_message()};
  }
  Message message = no_message();
  message.kind = spec::DELETE;
  message.side = side;
  message.order_id = book.order_id.load(index);
  return {spec::FLOW_EVENT, 0, message};
}

}  // namespace zi

template <int CAPACITY>
LOB_FUNC Drawn sample_flow(const FlowInput& flow, const Book<CAPACITY>& book, Meta& meta) {
  const i64 limit = flow.params.load(zi::LIMIT_RATE), market = flow.params.load(zi::MARKET_RATE);
  if (limit <= 0) return {spec::FLOW_EXHAUSTED, 0, no_message()};
  const i64 market_buy = book.num_orders(spec::SELL) > 0 ? market : 0;
  const i64 market_sell = book.num_orders(spec::BUY) > 0 ? market : 0;
  const i64 rate = flow.params.load(zi::CANCEL_RATE);
  const i64 cancel_buy = rate * book.num_orders(spec::BUY);
  const i64 total = 2 * limit + market_buy + market_sell + cancel_buy + rate * book.num_orders(spec::SELL);
  const RandomWords word = philox4x32(flow.seed_0, flow.seed_1, static_cast<u32>(meta.draw), 0);
  const i64 dt_us = zi::waiting_time_us(word.b, total, flow.params.load(zi::RATE_SHIFT));
  i64 pick = zi::scale(word.a, total);
  if (pick < 2 * limit) {
    const int side = pick >= limit ? spec::SELL : spec::BUY;
    return {spec::FLOW_EVENT, dt_us, zi::limit_order(flow, book, side, word.c, word.d, meta.reference_tick)};
  }
  pick -= 2 * limit;
  if (pick < market_buy + market_sell) {
    Message message = no_message();
    message.kind = spec::MARKET;
    message.side = pick < market_buy ? spec::BUY : spec::SELL;
    message.lots = flow.params.load(zi::MARKET_LOTS + static_cast<int>(word.d >> 25));
    return {spec::FLOW_EVENT, dt_us, message};
  }
  pick -= market_buy + market_sell;
  const int side = pick >= cancel_buy ? spec::SELL : spec::BUY;
  Drawn drawn = zi::cancel(flow, book, side, word.c, word.d, meta.reference_tick);
  drawn.dt_us = dt_us;
  return drawn;
}
