// One message on one order book: validation, matching, order-flow imbalance. Semantics: docs/engine.md.
#pragma once

struct Message {
  int kind;
  int side;
  int lots;
  int price_tick;
  int order_id;
  int owner;
  int time_s;
  int time_ns;
};

LOB_FUNC Message load_message(Words rows, int row) {
  const Four first = rows.load_four(2 * row), second = rows.load_four(2 * row + 1);
  return {first.a, first.b, first.c, first.d, second.a, second.b, second.c, second.d};
}

struct Answer {
  int reason;
  int filled;
};

// What is fixed for a call, and where its fills go.
struct Tape {
  int* fills;  // [max_fills][8] of this market
  int num_fills;
  int max_fills;
  int fills_mode;
  int self_trade;
  int queue_model;
  int reference_tick;
};

// One side's best level after the last message, for the order-flow imbalance; lots 0 where there was none.
struct Touch {
  int key;
  int lots;
};

template <int CAPACITY>
struct Market {
  Book<CAPACITY> book;
  Tape tape;
  LaneWords summary;
  Touch bid, ask;
};

LOB_FUNC constexpr u32 bit(int kind) { return 1u << kind; }
constexpr u32 ENTERING =
    bit(spec::LIMIT) | bit(spec::MARKET) | bit(spec::IOC) | bit(spec::FOK) | bit(spec::POST_ONLY);
constexpr u32 PRICED = bit(spec::LIMIT) | bit(spec::IOC) | bit(spec::FOK) | bit(spec::POST_ONLY) | bit(spec::REPLACE) |
                       bit(spec::LEVEL_SET);
constexpr u32 MATCHING = bit(spec::LIMIT) | bit(spec::MARKET) | bit(spec::IOC) | bit(spec::FOK);
constexpr u32 RESTING = bit(spec::LIMIT) | bit(spec::POST_ONLY) | bit(spec::LEVEL_SET);
constexpr u32 PARTIAL = bit(spec::REDUCE) | bit(spec::EXECUTE);
constexpr int ANY_PRICE = 2147483647;  // above every key of a valid price

LOB_FUNC bool is_one_of(u32 kinds, int kind) { return (kinds >> kind & 1u) != 0; }

// The first reject reason that needs no look at the book.
LOB_FUNC int invalid(const Message& m) {
  if (m.kind < 0 || m.kind > spec::EXECUTE) return spec::BAD_KIND;
  if (m.side < 0 || m.side > 1) return spec::BAD_SIDE;
  const int least_lots = m.kind == spec::LEVEL_SET ? 0 : 1;
  if (m.kind != spec::DELETE && (m.lots < least_lots || m.lots > spec::MAX_LOTS)) return spec::BAD_LOTS;
  const bool in_range = m.price_tick >= -spec::MAX_ABS_PRICE_TICK && m.price_tick <= spec::MAX_ABS_PRICE_TICK;
  if (is_one_of(PRICED, m.kind) && !in_range) return spec::BAD_PRICE;
  if (m.order_id < 1 && m.kind != spec::LEVEL_SET) return spec::BAD_ORDER_ID;
  if (m.owner < 0 && is_one_of(ENTERING, m.kind)) return spec::BAD_OWNER;
  return spec::OK;
}

// Adds one match to the sums and, where it is reported, to the fills.
template <int CAPACITY>
LOB_FUNC void record(Market<CAPACITY>& market, int ordinal, const Order& maker, int done, const Order& taker,
                     int taker_side) {
  Tape& tape = market.tape;
  const u32 distance = static_cast<u32>(maker.price_tick) - static_cast<u32>(tape.reference_tick);
  market.summary.add(spec::SUM_TRADED_BUY_LOTS + taker_side, done);
  market.summary.add(spec::SUM_NOTIONAL_BUY + taker_side, static_cast<u32>(done) * distance);
  market.summary.set(spec::SUM_LAST_PRICE_TICK, maker.price_tick);
  market.summary.set(spec::SUM_HAS_LAST, 1);
  market.summary.add(spec::SUM_NUM_TRADES, 1);
  if (tape.fills_mode == spec::FILLS_OWNED && maker.owner == 0 && taker.owner == 0) return;
  if (tape.num_fills == tape.max_fills) {
    market.book.counters.add(spec::NUM_FILLS_DROPPED, 1);
    return;
  }
  store_row(tape.fills + static_cast<i64>(tape.num_fills) * spec::NUM_FILL_COLUMNS,
            Four{ordinal, maker.price_tick, done, maker.order_id},
            Four{taker.order_id, maker.owner, taker.owner, taker_side});
  ++tape.num_fills;
}

LOB_FUNC bool is_prevented(const Tape& tape, int taker_owner, int maker_owner) {
  return tape.self_trade != spec::SELF_TRADE_NONE && maker_owner != 0 && maker_owner == taker_owner;
}

struct Matched {
  int filled;
  int left;  // lots that may still rest
  bool stopped;
};

// Matches a taker against makers whose key for the taker's side is at most `bound`, one after the other from the touch.
template <int CAPACITY>
LOB_FUNC Matched match(Market<CAPACITY>& market, int ordinal, int side, const Order& taker, int bound) {
  Book<CAPACITY>& book = market.book;
  const int maker_side = 1 - side, row = book.row(maker_side);
  int count = book.num_orders(maker_side);
  Matched out{0, taker.lots, false};
  bool touched = false;
  while (out.left > 0 && count > 0) {
    const int index = row + count - 1;
    const Order maker{book.price_tick.load(index), book.lots.load(index), book.order_id.load(index),
                      book.owner.load(index)};
    if (key_of(side, maker.price_tick) > bound) break;
    touched = true;
    int done = least(out.left, maker.lots);
    if (!is_prevented(market.tape, taker.owner, maker.owner)) {
      record(market, ordinal, maker, done, taker, side);
      out.filled += done;
      out.left -= done;
    } else {
      book.counters.add(spec::NUM_SELF_TRADES, 1);
      if (market.tape.self_trade == spec::SELF_TRADE_CANCEL_TAKER) {
        book.counters.add(spec::LOTS_SELF_TRADE, out.left);
        out.left = 0;
        out.stopped = true;
        break;
      }
      const bool both = market.tape.self_trade == spec::SELF_TRADE_DECREMENT;
      done = both ? done : maker.lots;
      book.counters.add(spec::LOTS_SELF_TRADE, done);
      out.left -= both ? done : 0;
    }
    if (done == maker.lots) {
      --count;
    } else {
      book.change_lots(maker_side, count - 1, maker.lots - done);
    }
  }
  if (touched) {
    sync_warp();
    book.set_num_orders(maker_side, count);
    book.recount(maker_side);
  }
  return out;
}

// Lots that a FOK could get within `bound`, counted up to the first 32 orders by which they reach `wanted`.
template <int CAPACITY>
LOB_FUNC i64 available(const Market<CAPACITY>& market, int side, int owner, int bound, int wanted) {
  const Book<CAPACITY>& book = market.book;
  const int row = book.row(1 - side);
  i64 total = 0;
  for (int top = book.num_orders(1 - side); top > 0 && total < wanted; top -= 32) {
    const Lanes<int> slot = (top - 1) - lane_id();
    const Lanes<bool> inside = slot >= 0;
    const Lanes<int> price = book.price_tick.load_if(inside, row + slot, 0);
    Lanes<bool> counts = inside & ((price ^ -side) <= bound);
    const bool cut = ballot(counts) != ALL_LANES;
    const Lanes<int> maker_owner = book.owner.load_if(counts, row + slot, 0);
    const bool prevents = market.tape.self_trade != spec::SELF_TRADE_NONE && owner != 0;
    const u32 own = prevents ? ballot(counts & (maker_owner == owner)) : 0u;
    if (own != 0) {
      const bool skips = market.tape.self_trade == spec::SELF_TRADE_CANCEL_RESTING;
      counts = counts & (skips ? (maker_owner != owner) : (lane_id() < first_lane(own)));
      total += sum_lanes(book.lots.load_if(counts, row + slot, 0));
      if (!skips) break;
    } else {
      total += sum_lanes(book.lots.load_if(counts, row + slot, 0));
    }
    if (cut) break;
  }
  return total;
}

// Applies LIMIT, MARKET, IOC, FOK, POST_ONLY, and the growth of a LEVEL_SET, which only rests.
template <int CAPACITY>
LOB_FUNC Answer enter(Market<CAPACITY>& market, int ordinal, int kind, int side, const Order& taker) {
  Book<CAPACITY>& book = market.book;
  const int bound = kind == spec::MARKET ? ANY_PRICE : key_of(side, taker.price_tick);
  if (kind == spec::FOK && available(market, side, taker.owner, bound, taker.lots) < taker.lots) {
    return {spec::FOK_UNFILLED, 0};
  }
  if (kind == spec::POST_ONLY && book.num_orders(1 - side) > 0 && key_of(side, book.best_price(1 - side)) <= bound) {
    return {spec::WOULD_CROSS, 0};
  }
  Matched matched{0, taker.lots, false};
  if (is_one_of(MATCHING, kind)) matched = match(market, ordinal, side, taker, bound);
  if (matched.stopped) return {spec::SELF_TRADE, matched.filled};
  if (matched.left == 0 || !is_one_of(RESTING, kind)) return {spec::OK, matched.filled};
  return {book.rest(side, Order{taker.price_tick, matched.left, taker.order_id, taker.owner}), matched.filled};
}

// Validates and applies one message other than NOP.
template <int CAPACITY>
LOB_FUNC Answer decide(Market<CAPACITY>& market, int ordinal, const Message& m) {
  const int reason = invalid(m);
  if (reason != spec::OK) return {reason, 0};
  Book<CAPACITY>& book = market.book;
  int kind = m.kind;
  Order taker{m.price_tick, m.lots, m.order_id, m.owner};
  if (kind == spec::LEVEL_SET) {
    const int growth = set_level(book, market.tape.queue_model, m.side, m.price_tick, m.lots);
    if (growth == 0) return {spec::OK, 0};
    taker = Order{m.price_tick, growth, 0, 0};
  } else if (!is_one_of(ENTERING, kind)) {
    const int place = book.find(m.side, m.order_id);
    if (place == 0) {
      book.counters.add(spec::NUM_UNKNOWN_CANCEL, 1);
      return {spec::UNKNOWN_ORDER, 0};
    }
    const int slot = place - 1, index = book.row(m.side) + slot;
    const Order order{book.price_tick.load(index), book.lots.load(index), m.order_id, book.owner.load(index)};
    const bool stays = kind == spec::REPLACE && m.price_tick == order.price_tick && m.lots <= order.lots;
    int done = is_one_of(PARTIAL, kind) ? least(m.lots, order.lots) : order.lots;
    done = stays ? order.lots - m.lots : done;
    if (kind == spec::EXECUTE) record(market, ordinal, order, done, Order{0, 0, 0, 0}, 1 - m.side);
    book.take(m.side, slot, order.price_tick, order.lots, done);
    if (kind != spec::REPLACE || stays) return {spec::OK, kind == spec::EXECUTE ? done : 0};
    kind = spec::LIMIT;
    taker.owner = order.owner;
  }
  return enter(market, ordinal, kind, m.side, taker);
}

template <int CAPACITY>
LOB_FUNC Touch touch_of(const Book<CAPACITY>& book, int side) {
  if (book.num_orders(side) == 0) return {0, 0};
  const i64 lots = least(book.level_lots(side), i64(spec::DEPTH_SATURATED));
  return {key_of(side, book.best_price(side)), static_cast<int>(lots)};
}

// One side's part of e of Cont, Kukanov, Stoikov 2014 between two states of its best level, modulo 2^32.
LOB_FUNC u32 side_flow(Touch before, Touch after) {
  if (before.lots == 0 || after.lots == 0) return 0;
  const u32 gained = after.key >= before.key ? after.lots : 0;
  const u32 lost = after.key <= before.key ? before.lots : 0;
  return gained - lost;
}

// Applies one message with its sums; NOP is answered OK and counts nowhere.
template <int CAPACITY>
LOB_FUNC Answer apply(Market<CAPACITY>& market, int ordinal, const Message& m) {
  if (m.kind == spec::NOP) return {spec::OK, 0};
  const Answer answer = decide(market, ordinal, m);
  const Touch bid = touch_of(market.book, spec::BUY), ask = touch_of(market.book, spec::SELL);
  market.summary.add(spec::SUM_EVENTS, 1);
  market.summary.add(spec::SUM_OFI_LOTS, side_flow(market.bid, bid) - side_flow(market.ask, ask));
  if (m.owner != 0 && answer.reason != spec::OK) market.summary.add(spec::SUM_OWN_REJECTS, 1);
  market.bid = bid;
  market.ask = ask;
  return answer;
}
