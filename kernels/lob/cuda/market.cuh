// Parts of the market step: clock, inbox of agents' messages, own orders, and what a flow's sampler sees and answers.
// Semantics: docs/engine.md.
#pragma once

constexpr int NS_PER_S = 1000000000;
constexpr i64 NEVER = 0x7fffffffffffffffll;
constexpr int ROW = spec::NUM_MESSAGE_COLUMNS;

// The words of a market's meta: each lane with all of the engine's, and with one of the flow model's.
struct Meta {
  int num_inbox;
  int clock_s;
  int clock_ns;
  int draw;
  int next_order_id;
  int inbox_dropped;
  int reference_tick;
  int cursor;
  Lanes<int> flow;  // word META_FLOW + lane, 0 past the last
};

// What a sampler draws from, but for the book.
struct FlowInput {
  Words params;      // int32[P]
  Words background;  // int32[num_background][8]
  int num_background;
  u32 seed_0, seed_1;
};

// What a sampler answers: spec::FLOW_EVENT, FLOW_NULL or FLOW_EXHAUSTED, the microseconds since the clock, the message.
struct Drawn {
  int status;
  i64 dt_us;
  Message message;
};

LOB_FUNC Message no_message() { return {0, 0, 0, 0, 0, 0, 0, 0}; }

LOB_FUNC i64 clock_of(int s, int ns) { return static_cast<i64>(s) * NS_PER_S + ns; }

LOB_FUNC void set_clock(Meta& meta, i64 time_ns) {
  i64 seconds = time_ns / NS_PER_S;
  if (seconds * NS_PER_S > time_ns) --seconds;
  meta.clock_s = static_cast<int>(seconds);
  meta.clock_ns = static_cast<int>(time_ns - seconds * NS_PER_S);
}

// Moves the clock by `dt_us`, without a 64-bit division where the clock is in its usual form and the step below 2^31 us.
LOB_FUNC void advance(Meta& meta, i64 dt_us) {
  if (meta.clock_ns < 0 || meta.clock_ns >= NS_PER_S || (dt_us >> 31) != 0) {
    set_clock(meta, clock_of(meta.clock_s, meta.clock_ns) + dt_us * 1000);
    return;
  }
  const u32 us = static_cast<u32>(dt_us), seconds = us / 1000000u;
  const int ns = meta.clock_ns + static_cast<int>((us - seconds * 1000000u) * 1000u);
  const bool carry = ns >= NS_PER_S;
  meta.clock_s = static_cast<int>(static_cast<u32>(meta.clock_s) + seconds + (carry ? 1u : 0u));
  meta.clock_ns = carry ? ns - NS_PER_S : ns;
}

// Gives a background message its owner, and an id of the flow's own where the sampler gave none.
LOB_FUNC void complete(Meta& meta, Message& m) {
  m.owner = 0;
  if (m.order_id != 0 || m.kind < 0 || m.kind > spec::EXECUTE || !is_one_of(ENTERING, m.kind)) return;
  m.order_id = meta.next_order_id;
  meta.next_order_id = m.order_id + 1 < spec::FIRST_AGENT_ORDER_ID ? m.order_id + 1 : 1;
}

LOB_FUNC Meta load_meta(const int* from) {
  const Four first = read_only(from).load_four(0), second = read_only(from).load_four(1);
  const Lanes<int> flow = read_only(from + spec::META_FLOW).load_if(lane_id() < spec::NUM_FLOW_WORDS, lane_id(), 0);
  return {first.a, first.b, first.c, first.d, second.a, second.b, second.c, second.d, flow};
}

LOB_FUNC void save_meta(const Meta& meta, int* to) {
  store_row(to, Four{meta.num_inbox, meta.clock_s, meta.clock_ns, meta.draw},
            Four{meta.next_order_id, meta.inbox_dropped, meta.reference_tick, meta.cursor});
  Words(to + spec::META_FLOW).store_if(lane_id() < spec::NUM_FLOW_WORDS, lane_id(), meta.flow);
}

// Inbox: rows sorted by arrival, zeros past the last.

LOB_FUNC void copy_words(Words from, Words to, int number) {
  for (int base = 0; base < number; base += 32) {
    const Lanes<int> word = base + lane_id();
    to.store_if(word < number, word, from.load_if(word < number, word, 0));
  }
}

// How many of the rows arrive later than (s, ns); they stand at the end.
LOB_FUNC int num_later(Words inbox, int number, int s, int ns) {
  int later = 0;
  for (int base = 0; base < number; base += 32) {
    const Lanes<int> row = base + lane_id();
    const Lanes<bool> inside = row < number;
    const Lanes<int> row_s = inbox.load_if(inside, row * ROW + spec::TIME_S, 0);
    const Lanes<int> row_ns = inbox.load_if(inside, row * ROW + spec::TIME_NS, 0);
    later += popc(ballot(inside & ((row_s > s) | ((row_s == s) & (row_ns > ns)))));
  }
  return later;
}

LOB_FUNC void put_in(Words inbox, Meta& meta, Words messages, int k) {
  const int s = messages.load(k * ROW + spec::TIME_S), ns = messages.load(k * ROW + spec::TIME_NS);
  const int end = meta.num_inbox * ROW;
  const int place = (meta.num_inbox - num_later(inbox, meta.num_inbox, s, ns)) * ROW;
  for (int top = end; top > place; top -= 32) {
    const Lanes<int> word = (top - 1) - lane_id();
    const Lanes<bool> moves = word >= place;
    const Lanes<int> value = inbox.load_if(moves, word, 0);
    sync_warp();
    inbox.store_if(moves, word + ROW, value);
  }
  sync_warp();
  const Lanes<bool> column = lane_id() < ROW;
  inbox.store_if(column, place + lane_id(), messages.load_if(column, k * ROW + lane_id(), 0));
  sync_warp();
  ++meta.num_inbox;
}

// Puts every agent's message that is not NOP into the inbox, ties in order of entry; a full inbox drops the new one.
LOB_FUNC void accept(Words inbox, int capacity, Meta& meta, Words messages, int number) {
  for (int k = 0; k < number; ++k) {
    if (messages.load(k * ROW + spec::KIND) == spec::NOP) continue;
    if (meta.num_inbox == capacity) {
      meta.inbox_dropped = static_cast<int>(static_cast<u32>(meta.inbox_dropped) + 1u);
    } else {
      put_in(inbox, meta, messages, k);
    }
  }
}

LOB_FUNC void drop_front(Words inbox, Meta& meta, int dropped) {
  const int kept = (meta.num_inbox - dropped) * ROW, end = meta.num_inbox * ROW;
  for (int base = 0; base < kept; base += 32) {
    const Lanes<int> word = base + lane_id();
    const Lanes<int> value = inbox.load_if(word < kept, word + dropped * ROW, 0);
    sync_warp();
    inbox.store_if(word < kept, word, value);
  }
  sync_warp();
  for (int base = kept; base < end; base += 32) {
    const Lanes<int> word = base + lane_id();
    inbox.store_if(word < end, word, 0);
  }
  sync_warp();
  meta.num_inbox -= dropped;
}

// When the message in `row` arrives, NEVER past the last.
LOB_FUNC i64 arrival(Words inbox, const Meta& meta, int row) {
  if (row >= meta.num_inbox) return NEVER;
  return clock_of(inbox.load(row * ROW + spec::TIME_S), inbox.load(row * ROW + spec::TIME_NS));
}

// Lots of the orders above slot `slot` with its price: what is ahead of it in the queue.
template <int CAPACITY>
LOB_FUNC i64 lots_ahead(const Book<CAPACITY>& book, int side, int slot, int price) {
  i64 ahead = 0;
  for (int base = slot + 1; base < book.num_orders(side); base += 32) {
    const Lanes<int> above = base + lane_id();
    const Lanes<bool> inside = above < book.num_orders(side);
    const Lanes<int> above_price = book.price_tick.load_if(inside, book.row(side) + above, 0);
    const Lanes<bool> same = inside & (above_price == price);
    ahead += sum_lanes(book.lots.load_if(same, book.row(side) + above, 0));
    if (ballot(same) != ALL_LANES) break;
  }
  return ahead;
}

// Writes the OWN_* columns of one owner on one side.
template <int CAPACITY>
LOB_FUNC void save_own_side(const Book<CAPACITY>& book, int owner, int side, Words out) {
  int number = 0, slot = 0;
  for (int top = book.num_orders(side); top > 0; top -= 32) {
    const Lanes<int> place = (top - 1) - lane_id();
    const u32 mine = ballot(book.owner.load_if(place >= 0, book.row(side) + place, 0) == owner);  // owner is at least 1
    if (number == 0 && mine != 0) slot = top - 1 - first_lane(mine);
    number += popc(mine);
  }
  if (number == 0) {
    out.store_if(lane_id() < spec::NUM_OWN_COLUMNS, lane_id(), 0);
    return;
  }
  const int index = book.row(side) + slot, price = book.price_tick.load(index);
  const i64 ahead = least(lots_ahead(book, side, slot, price), i64(spec::DEPTH_SATURATED));
  out.store(spec::OWN_PRESENT, 1);
  out.store(spec::OWN_PRICE_TICK, price);
  out.store(spec::OWN_LOTS, book.lots.load(index));
  out.store(spec::OWN_ORDER_ID, book.order_id.load(index));
  out.store(spec::OWN_LOTS_AHEAD, static_cast<int>(ahead));
  out.store(spec::OWN_NUM_ORDERS, number);
}

template <int CAPACITY>
LOB_FUNC void save_own(const Book<CAPACITY>& book, int* to, int num_learners) {
  for (int learner = 0; learner < num_learners; ++learner) {
    for (int side = 0; side < 2; ++side) {
      const Words out(to + (learner * 2 + side) * spec::NUM_OWN_COLUMNS);
      save_own_side(book, learner + 1, side, out);
    }
  }
}
