// A book and its messages between global memory and a warp's shared memory, and what a call reports of a book.
#pragma once

// Addresses of the six fields of `spec.Book`, for all markets.
struct BookFields {
  int* price_tick;
  int* lots;
  int* order_id;
  int* owner;
  int* num_orders;
  int* counters;
};

template <int CAPACITY>
LOB_FUNC void load_field(const int* from, Words to) {
  const Words source = read_only(from);
  LOB_UNROLL(4)
  for (int base = 0; base < 2 * CAPACITY / 4; base += 32) {
    const Lanes<int> four = base + lane_id();
    to.store_four_if(Lanes<bool>(true), four, source.load_four_if(Lanes<bool>(true), four));
  }
}

// Reads market `b`; the tape is the caller's.
template <int CAPACITY>
LOB_FUNC Market<CAPACITY> load_market(const BookFields& fields, i64 b, Words shared, const Tape& tape) {
  Market<CAPACITY> market{Book<CAPACITY>(shared), tape, LaneWords{Lanes<u32>(0u)}, Touch{0, 0}, Touch{0, 0}};
  Book<CAPACITY>& book = market.book;
  const i64 at = b * 2 * CAPACITY;
  load_field<CAPACITY>(fields.price_tick + at, book.price_tick);
  load_field<CAPACITY>(fields.lots + at, book.lots);
  load_field<CAPACITY>(fields.order_id + at, book.order_id);
  load_field<CAPACITY>(fields.owner + at, book.owner);
  const Words counts = read_only(fields.num_orders + b * 2);
  const Words counters = read_only(fields.counters + b * spec::NUM_COUNTERS);
  const Lanes<bool> has_counter = lane_id() < spec::NUM_COUNTERS;
  book.counters.words = to_unsigned(counters.load_if(has_counter, lane_id(), 0));
  book.set_num_orders(spec::BUY, counts.load(0));
  book.set_num_orders(spec::SELL, counts.load(1));
  sync_warp();
  book.recount(spec::BUY);
  book.recount(spec::SELL);
  market.bid = touch_of(book, spec::BUY);
  market.ask = touch_of(book, spec::SELL);
  return market;
}

// Writes a field with zeros past the last order of each side.
template <int CAPACITY>
LOB_FUNC void save_field(const Book<CAPACITY>& book, Words field, int* to) {
  const Words target(to);
  LOB_UNROLL(4)
  for (int base = 0; base < 2 * CAPACITY; base += 32) {
    const int side = base / CAPACITY;
    const Lanes<int> slot = (base - side * CAPACITY) + lane_id();
    const Lanes<int> index = base + lane_id();
    target.store_if(Lanes<bool>(true), index, field.load_if(slot < book.num_orders(side), index, 0));
  }
}

template <int CAPACITY>
LOB_FUNC void save_book(const Book<CAPACITY>& book, const BookFields& fields, i64 b) {
  const i64 at = b * 2 * CAPACITY;
  save_field(book, book.price_tick, fields.price_tick + at);
  save_field(book, book.lots, fields.lots + at);
  save_field(book, book.order_id, fields.order_id + at);
  save_field(book, book.owner, fields.owner + at);
  const Words counts(fields.num_orders + b * 2), counters(fields.counters + b * spec::NUM_COUNTERS);
  counts.store(0, book.num_orders(spec::BUY));
  counts.store(1, book.num_orders(spec::SELL));
  counters.store_if(lane_id() < spec::NUM_COUNTERS, lane_id(), to_signed(book.counters.words));
}

// Copies up to 32 messages from global memory to the staging area; 16 bytes a lane and turn.
LOB_FUNC void stage(const int* messages, int number, Words staged) {
  const Words source = read_only(messages);
  for (int base = 0; base < 2 * number; base += 32) {
    const Lanes<int> four = base + lane_id();
    const Lanes<bool> inside = four < 2 * number;
    staged.store_four_if(inside, four, source.load_four_if(inside, four));
  }
  sync_warp();
}

// Writes zeros into the rows of fills past the last one.
LOB_FUNC void clear_fills(const Tape& tape) {
  const Words rows(tape.fills);
  for (int base = tape.num_fills * 2; base < tape.max_fills * 2; base += 32) {
    const Lanes<int> four = base + lane_id();
    rows.store_four_if(four < tape.max_fills * 2, four, Four{0, 0, 0, 0});
  }
}

// Completes the summary with the touch and writes it.
template <int CAPACITY>
LOB_FUNC void save_summary(Market<CAPACITY>& market, int* to, int* num_fills) {
  const Book<CAPACITY>& book = market.book;
  market.summary.set(spec::SUM_NUM_FILLS, market.tape.num_fills);
  for (int side = 0; side < 2; ++side) {
    if (book.num_orders(side) == 0) continue;
    market.summary.set(spec::SUM_BEST_BID_TICK + 2 * side, book.best_price(side));
    market.summary.set(spec::SUM_HAS_BID + 2 * side, 1);
  }
  Words(to).store_if(lane_id() < spec::NUM_SUMMARY, lane_id(), to_signed(market.summary.words));
  Words(num_fills).store(0, market.tape.num_fills);
}

// Writes the first levels of both sides, int32[2][levels][2], best first, (0, 0) past the last.
template <int CAPACITY>
LOB_FUNC void save_depth(const Book<CAPACITY>& book, int* to, int levels) {
  const Words depth(to);
  for (int side = 0; side < 2; ++side) {
    int top = book.num_orders(side);
    for (int level = 0; level < levels; ++level) {
      int price = 0, lots = 0;
      if (top > 0) {
        price = book.price_tick.load(book.row(side) + top - 1);
        const Level found = book.level_at(side, top, price);
        lots = static_cast<int>(least(found.lots, i64(spec::DEPTH_SATURATED)));
        top = found.below;
      }
      depth.store((side * levels + level) * 2, price);
      depth.store((side * levels + level) * 2 + 1, lots);
    }
  }
}
