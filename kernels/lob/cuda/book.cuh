// One order book in the shared memory of a warp. Semantics: docs/engine.md.
//
// Best order last, as in kernels/lob/spec.py. Slots past the last order are not kept at 0 here; they are when the book is
// written back. Cost of a message: a ballot for every 32 orders between the touch and its place, and where orders
// move, a load, a sync and a store for each of the four fields. Slots are looked at from the touch: lane 0 has the best.
#pragma once

// Sixteen words, one on each of the first lanes: a sum that no lane alone has to keep.
struct LaneWords {
  Lanes<u32> words;

  LOB_FUNC void add(int word, u32 value) { words = words + select(lane_id() == word, value, 0u); }
  LOB_FUNC void set(int word, u32 value) { words = select(lane_id() == word, value, words); }
};

// A price as a number that is larger where the price is better for an order that rests on `side`. For asks it is the
// bitwise not, which reverses the order and cannot overflow.
LOB_FUNC int key_of(int side, int price_tick) { return price_tick ^ -side; }

struct Order {
  int price_tick;
  int lots;
  int order_id;
  int owner;
};

struct OrderLanes {
  Lanes<int> price_tick;
  Lanes<int> lots;
  Lanes<int> order_id;
  Lanes<int> owner;
};

struct Level {
  i64 lots;
  int below;  // orders of the side behind this level
};

constexpr int STAGED_MESSAGES = 32;

// Where a warp keeps its book and the messages that it works on.
template <int CAPACITY>
struct alignas(16) SharedBook {
  int fields[4 * 2 * CAPACITY];
  int staged[STAGED_MESSAGES * spec::NUM_MESSAGE_COLUMNS];
};

template <int CAPACITY>
class Book {
 public:
  Words price_tick, lots, order_id, owner;  // [2][CAPACITY] each
  LaneWords counters;

  LOB_FUNC explicit Book(Words fields)
      : price_tick(fields),
        lots(fields.from(2 * CAPACITY)),
        order_id(fields.from(4 * CAPACITY)),
        owner(fields.from(6 * CAPACITY)),
        counters{Lanes<u32>(0u)},
        num_bids_(0),
        num_asks_(0),
        bid_lots_(0),
        ask_lots_(0) {}

  LOB_FUNC int num_orders(int side) const { return side == spec::BUY ? num_bids_ : num_asks_; }
  LOB_FUNC void set_num_orders(int side, int number) {
    num_bids_ = side == spec::BUY ? number : num_bids_;
    num_asks_ = side == spec::BUY ? num_asks_ : number;
  }

  // Lots of the best level, 0 for an empty side.
  LOB_FUNC i64 level_lots(int side) const { return side == spec::BUY ? bid_lots_ : ask_lots_; }

  LOB_FUNC static int row(int side) { return side * CAPACITY; }
  LOB_FUNC int best_price(int side) const { return price_tick.load(row(side) + num_orders(side) - 1); }

  // 1 + the slot of the best-priority order with this id (at least 1), or 0 if none rests on the side.
  LOB_FUNC int find(int side, int wanted) const {
    for (int top = num_orders(side); top > 0; top -= 32) {
      const Lanes<int> slot = (top - 1) - lane_id();
      const u32 hits = ballot(order_id.load_if(slot >= 0, row(side) + slot, 0) == wanted);
      if (hits != 0) return top - first_lane(hits);
    }
    return 0;
  }

  // How many of the `top` lowest slots are left when those of the level `price` at their top are taken off, with its
  // lots. The orders of a level stand together, so the lanes that have them are the first.
  LOB_FUNC Level level_at(int side, int top, int price) const {
    Level level{0, top};
    while (level.below > 0) {
      const Lanes<int> slot = (level.below - 1) - lane_id();
      const Lanes<bool> inside = slot >= 0;
      const Lanes<bool> same = inside & (price_tick.load_if(inside, row(side) + slot, 0) == price);
      level.lots += sum_lanes(lots.load_if(same, row(side) + slot, 0));
      const int found = popc(ballot(same));
      level.below -= found;
      if (found < 32) break;
    }
    return level;
  }

  LOB_FUNC void recount(int side) {
    const int count = num_orders(side);
    set_level_lots(side, count == 0 ? 0 : level_at(side, count, best_price(side)).lots);
  }

  // Takes `done` lots off the order in `slot`, which has this price and `resting` lots; at 0 it leaves.
  LOB_FUNC void take(int side, int slot, int price, int resting, int done) {
    const bool at_touch = price == best_price(side);
    if (done == resting) {
      remove(side, slot);
    } else {
      change_lots(side, slot, resting - done);
    }
    if (!at_touch) return;
    set_level_lots(side, level_lots(side) - done);
    if (level_lots(side) == 0) recount(side);
  }

  LOB_FUNC void change_lots(int side, int slot, int value) {
    sync_warp();
    lots.store(row(side) + slot, value);
    sync_warp();
  }

  // Rests an order, evicting the worst background order of a full side where it is better; returns the reason.
  LOB_FUNC int rest(int side, const Order& order) {
    if (num_orders(side) == CAPACITY && !evict(side, key_of(side, order.price_tick))) {
      counters.add(spec::NUM_REJECTED_FULL, 1);
      counters.add(spec::LOTS_REJECTED_FULL, order.lots);
      return spec::SIDE_FULL;
    }
    insert(side, order);
    return spec::OK;
  }

  // Takes out the orders from slot `bottom` on that have no lots left.
  LOB_FUNC void squeeze(int side, int bottom) {
    int kept = bottom;
    for (int base = bottom; base < num_orders(side); base += 32) {
      const Lanes<int> slot = base + lane_id();
      const Lanes<bool> inside = slot < num_orders(side);
      const OrderLanes orders = load_orders(inside, row(side) + slot);
      const Lanes<bool> stays = inside & (orders.lots > 0);
      const u32 staying = ballot(stays);
      sync_warp();
      store_orders(stays, row(side) + kept + popc(staying & lanes_below()), orders);
      kept += popc(staying);
    }
    sync_warp();
    set_num_orders(side, kept);
    recount(side);
  }

 private:
  int num_bids_, num_asks_;
  i64 bid_lots_, ask_lots_;

  LOB_FUNC void set_level_lots(int side, i64 value) {
    bid_lots_ = side == spec::BUY ? value : bid_lots_;
    ask_lots_ = side == spec::BUY ? ask_lots_ : value;
  }

  LOB_FUNC OrderLanes load_orders(Lanes<bool> where, Lanes<int> index) const {
    return {price_tick.load_if(where, index, 0), lots.load_if(where, index, 0), order_id.load_if(where, index, 0),
            owner.load_if(where, index, 0)};
  }

  LOB_FUNC void store_orders(Lanes<bool> where, Lanes<int> index, const OrderLanes& orders) const {
    price_tick.store_if(where, index, orders.price_tick);
    lots.store_if(where, index, orders.lots);
    order_id.store_if(where, index, orders.order_id);
    owner.store_if(where, index, orders.owner);
  }

  // Moves the orders past `slot` one slot down over it, 32 at a time from `slot` on.
  LOB_FUNC void remove(int side, int slot) {
    const int last = num_orders(side) - 1;
    for (int base = slot; base < last; base += 32) {
      const Lanes<int> from = (base + 1) + lane_id();
      const Lanes<bool> moves = from <= last;
      const OrderLanes orders = load_orders(moves, row(side) + from);
      sync_warp();
      store_orders(moves, row(side) + from - 1, orders);
    }
    sync_warp();
    set_num_orders(side, last);
  }

  // Moves the orders that are at least as good one slot up, 32 at a time from the touch on, and puts the new one below.
  LOB_FUNC void insert(int side, const Order& order) {
    const int key = key_of(side, order.price_tick), count = num_orders(side);
    int place = count;
    while (place > 0) {
      const Lanes<int> slot = (place - 1) - lane_id();
      const Lanes<bool> inside = slot >= 0;
      const Lanes<int> price = price_tick.load_if(inside, row(side) + slot, 0);
      const Lanes<bool> ahead = inside & ((price ^ -side) >= key);
      const int moved = popc(ballot(ahead));
      if (moved == 0) break;
      const OrderLanes orders = load_orders(ahead, row(side) + slot);
      sync_warp();
      store_orders(ahead, row(side) + slot + 1, orders);
      place -= moved;
      if (moved < 32) break;
    }
    sync_warp();
    price_tick.store(row(side) + place, order.price_tick);
    lots.store(row(side) + place, order.lots);
    order_id.store(row(side) + place, order.order_id);
    owner.store(row(side) + place, order.owner);
    set_num_orders(side, count + 1);
    sync_warp();
    if (place == count) {
      set_level_lots(side, order.lots);
    } else if (best_price(side) == order.price_tick) {
      set_level_lots(side, level_lots(side) + order.lots);
    }
  }

  // Makes room by the background order with the worst priority, if its price is worse than `key`.
  LOB_FUNC bool evict(int side, int key) {
    for (int base = 0; base < CAPACITY; base += 32) {
      const u32 background = ballot(owner.load(row(side) + base + lane_id()) == 0);
      if (background == 0) continue;
      const int slot = base + first_lane(background);
      if (key_of(side, price_tick.load(row(side) + slot)) >= key) return false;
      counters.add(spec::NUM_EVICTED, 1);
      counters.add(spec::LOTS_EVICTED, lots.load(row(side) + slot));
      remove(side, slot);
      return true;
    }
    return false;
  }
};
