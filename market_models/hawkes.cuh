// The Hawkes sampler for the CUDA kernel; model and parameters in hawkes.py, and the same bits as hawkes_numba.py. The
// excitation words stand one on a lane and decay together; the lanes share the walk over the orders.
#pragma once
#include "zero_intelligence_common.cuh"
#include "hawkes_exp2.cuh"

namespace hk {

constexpr int INSIDE = 0;
constexpr int BEHIND = 1;
constexpr int CANCEL_TOUCH = 2;
constexpr int TAKE = 4;
constexpr int NUM_KINDS = 5;
constexpr int NUM_TYPES = 10;
constexpr int MAX_DECAYS = 2;
constexpr int MAX_SPREADS = 4;
constexpr int MAX_DEPTHS = 4;
constexpr int MAX_EXCITATION = 1073741824;
constexpr int CLIP_LOTS = 2097152;
constexpr int UNUSED_EDGE = 2147483647;
constexpr int MAX_ELAPSED_S = 2000;
constexpr int FRAC_BITS = 16;
constexpr int EXP_BITS = 24;
constexpr int RATE_SHIFT = 0;
constexpr int NUM_SPREADS = 1;
constexpr int WINDOW_TICK = 2;
constexpr int NUM_DISTANCES = 3;
constexpr int EMPTY_SPREAD_TICK = 4;
constexpr int FAR_CANCEL_RATE = 5;
constexpr int DECAYS = 8;
constexpr int EXTRA_SHIFTS = 10;
constexpr int SPREAD_EDGES = 12;
constexpr int DEPTH_EDGES = 16;
constexpr int BASE_RATES = 20;
constexpr int JUMPS = 100;
constexpr int DISTANCES = 200;
constexpr int INSIDE_FRACS = 328;
constexpr int LIMIT_LOTS = 456;
constexpr int MARKET_LOTS = 584;
constexpr int LIMIT_MARKS = 712;
constexpr int MARKET_MARKS = 840;

constexpr int TIME_S_LANE = 0, TIME_NS_LANE = 1, FIRST_LANE = 2;  // of Meta::flow
constexpr int NUM_WORDS = MAX_DECAYS * NUM_TYPES;
constexpr int FAR_CANCEL = NUM_KINDS;  // the kind of a cancel beyond the window

#ifdef LOB_HOST
inline Lanes<i64> shifted(Lanes<i64> value, Lanes<int> bits) {
  for (int i = 0; i < 32; ++i) value.v[i] >>= bits.v[i];
  return value;
}
#else
LOB_FUNC i64 shifted(i64 value, int bits) { return value >> bits; }
#endif

LOB_FUNC int word_on(Lanes<int> words, int lane) {
  return static_cast<int>(sum_lanes(select(lane_id() == lane, words, Lanes<int>(0))));
}

// The decay that a lane's word belongs to, and whether it has one.
LOB_FUNC Lanes<int> decay_of_lane() { return select(lane_id() >= FIRST_LANE + NUM_TYPES, Lanes<int>(1), Lanes<int>(0)); }
LOB_FUNC Lanes<bool> has_word() { return (lane_id() >= FIRST_LANE) & (lane_id() < FIRST_LANE + NUM_WORDS); }

struct Decay {
  i64 factor;
  int shift;
};

// exp(-beta dt) is factor / 2^shift; dt below 2^31.
LOB_FUNC Decay decay_factor(int decay, i64 dt_us) {
  const u64 halvings = static_cast<u64>(static_cast<u32>(decay)) * static_cast<u64>(dt_us);
  const u32 low = static_cast<u32>(halvings);
  const u32 above = EXP2_TABLE[low >> 24];
  const u32 factor = above - ((above - EXP2_TABLE[(low >> 24) + 1]) * (low >> 8 & 0xFFFFu) >> 16);
  return {static_cast<i64>(factor), EXP_BITS + static_cast<int>(least(halvings >> 32, u64(31)))};
}

// Lets every excitation word decay for dt_us; the words of time stay.
LOB_FUNC Lanes<int> decayed(Words params, Lanes<int> words, i64 dt_us) {
  const Decay first = decay_factor(params.load(DECAYS), dt_us), second = decay_factor(params.load(DECAYS + 1), dt_us);
  const Lanes<bool> is_second = decay_of_lane() == 1;
  const Lanes<i64> factor = select(is_second, Lanes<i64>(second.factor), Lanes<i64>(first.factor));
  const Lanes<int> shift = select(is_second, Lanes<int>(second.shift), Lanes<int>(first.shift));
  return select(has_word(), narrow(shifted(widen(words) * factor, shift)), words);
}

// The excitation words in rate units, 0 on lanes without one.
LOB_FUNC Lanes<i64> excitation_rates(Words params, Lanes<int> words) {
  const Lanes<int> extra = select(decay_of_lane() == 1, Lanes<int>(params.load(EXTRA_SHIFTS + 1)),
                                  Lanes<int>(params.load(EXTRA_SHIFTS)));
  return shifted(widen(select(has_word(), words, Lanes<int>(0))), extra);
}

// Microseconds from the time of the excitation to the clock: 0 to 2,001 seconds.
LOB_FUNC i64 elapsed_us(const Meta& meta) {
  i64 seconds = static_cast<i64>(meta.clock_s) - word_on(meta.flow, TIME_S_LANE);
  int ns = meta.clock_ns - word_on(meta.flow, TIME_NS_LANE);
  if (ns < 0) {
    --seconds;
    ns += NS_PER_S;
  }
  return seconds < 0 ? 0 : least(seconds, i64(MAX_ELAPSED_S)) * 1000000 + ns / 1000;
}

// The clock and dt_us as the time of the excitation.
LOB_FUNC Lanes<int> with_time(const Meta& meta, Lanes<int> words, i64 dt_us) {
  const u32 us = static_cast<u32>(dt_us), seconds = us / 1000000u;
  const int ns = meta.clock_ns + static_cast<int>((us - seconds * 1000000u) * 1000u);
  const bool carry = ns >= NS_PER_S;
  const int s = static_cast<int>(static_cast<u32>(meta.clock_s) + seconds + (carry ? 1u : 0u));
  words = select(lane_id() == TIME_S_LANE, Lanes<int>(s), words);
  return select(lane_id() == TIME_NS_LANE, Lanes<int>(carry ? ns - NS_PER_S : ns), words);
}

struct Side {
  int best;    // 1 + slot of the best background order, 0 where there is none
  int level;   // lowest slot at the touch
  int window;  // lowest slot within the window
  i64 held;    // lots behind the touch within the window
};

template <int CAPACITY>
LOB_FUNC Side side_state(Words params, const Book<CAPACITY>& book, int side) {
  const int best = zi::best_background(book, side);
  if (best == 0) return {0, 0, 0, 0};
  const int row = book.row(side), touch = book.price_tick.load(row + best - 1);
  const int level = book.level_at(side, best, touch).below;
  const i64 reach = params.load(WINDOW_TICK);
  Side state{best, level, level, 0};
  while (state.window > 0) {
    const Lanes<int> slot = (state.window - 1) - lane_id();
    const Lanes<bool> inside = slot >= 0;
    const Lanes<i64> away = widen(book.price_tick.load_if(inside, row + slot, touch)) - i64(touch);
    const Lanes<bool> taken = inside & (away <= reach) & (away >= -reach);
    const Lanes<int> lots = book.lots.load_if(taken, row + slot, 0);
    state.held += sum_lanes(select(lots > CLIP_LOTS, Lanes<int>(CLIP_LOTS), lots));
    const int found = popc(ballot(taken));
    state.window -= found;
    if (found < 32) break;
  }
  return state;
}

// How many of the four edges from word `first` on lie below the value.
LOB_FUNC int bucket(Words params, int first, i64 value) {
  int number = 0;
  for (int edge = 0; edge < MAX_SPREADS; ++edge) number += value > params.load(first + edge) ? 1 : 0;
  return number;
}

// The widest where a side has no background order.
template <int CAPACITY>
LOB_FUNC int spread_bucket(Words params, const Book<CAPACITY>& book, int bid, int ask) {
  if (bid == 0 || ask == 0) return params.load(NUM_SPREADS) - 1;
  const i64 ask_tick = book.price_tick.load(book.row(spec::SELL) + ask - 1);
  const i64 spread = ask_tick - book.price_tick.load(book.row(spec::BUY) + bid - 1);
  return bucket(params, SPREAD_EDGES, least(spread, i64(UNUSED_EDGE)));
}

// Base rates of the types on lanes 0..9, far cancels by side on lanes 10 and 11, 0 on the others.
template <int CAPACITY>
LOB_FUNC Lanes<i64> constant_rates(Words params, const Book<CAPACITY>& book, const Side& buy, const Side& sell) {
  const int first = spread_bucket(params, book, buy.best, sell.best) * MAX_DEPTHS;
  const int buy_cell = BASE_RATES + (first + bucket(params, DEPTH_EDGES, buy.held)) * NUM_KINDS;
  const int sell_cell = BASE_RATES + (first + bucket(params, DEPTH_EDGES, sell.held)) * NUM_KINDS;
  const Lanes<int> word = lane_id() + select(lane_id() < NUM_KINDS, Lanes<int>(buy_cell), Lanes<int>(sell_cell - NUM_KINDS));
  const Lanes<i64> base = widen(params.load_if(lane_id() < NUM_TYPES, word, 0));
  const i64 far = params.load(FAR_CANCEL_RATE);
  const Lanes<i64> with_buy = select(lane_id() == NUM_TYPES, Lanes<i64>(far * buy.window), base);
  return select(lane_id() == NUM_TYPES + 1, Lanes<i64>(far * sell.window), with_buy);
}

// Adds an event's jumps to all types; those of a decay whose words would exceed MAX_EXCITATION are dropped.
LOB_FUNC Lanes<int> excited(Words params, Lanes<int> words, int side, int kind, int mark_q16) {
  const Lanes<int> second = decay_of_lane();
  const Lanes<int> target = lane_id() - (FIRST_LANE + second * NUM_TYPES);
  const Lanes<int> of_sell = select(target >= NUM_KINDS, Lanes<int>(1), Lanes<int>(0));
  const Lanes<int> other = of_sell ^ side;
  const Lanes<int> cell = ((second * 2 + other) * NUM_KINDS + kind) * NUM_KINDS + (target - of_sell * NUM_KINDS);
  const Lanes<i64> jump = widen(params.load_if(has_word(), cell + JUMPS, 0)) * i64(mark_q16);
  const Lanes<int> after = select(has_word(), narrow(widen(words) + shifted(jump, Lanes<int>(FRAC_BITS))), words);
  const Lanes<bool> is_first = has_word() & (second == 0), is_second = has_word() & (second == 1);
  const bool first_fits = sum_lanes(select(is_first, after, Lanes<int>(0))) <= MAX_EXCITATION;
  const bool second_fits = sum_lanes(select(is_second, after, Lanes<int>(0))) <= MAX_EXCITATION;
  words = select(is_first & Lanes<bool>(first_fits), after, words);
  return select(is_second & Lanes<bool>(second_fits), after, words);
}

struct Event {
  int side;
  int kind;  // FAR_CANCEL for a cancel beyond the window, -1 for none
};

// The event that `pick` falls on; none beyond the decayed rates.
LOB_FUNC Event event_at(Lanes<i64> constant, i64 constant_total, Lanes<i64> excitation, i64 pick) {
  const bool is_constant = pick < constant_total;
  const Lanes<i64> ends = scan_lanes(is_constant ? constant : excitation);
  const int place = popc(ballot(ends <= (is_constant ? pick : pick - constant_total)));
  if (place >= 32) return {0, -1};
  if (is_constant && place >= NUM_TYPES) return {place - NUM_TYPES, FAR_CANCEL};
  const int type = is_constant ? place : (place - FIRST_LANE) % NUM_TYPES;
  return {type / NUM_KINDS, type % NUM_KINDS};
}

LOB_FUNC int behind_tick(Words params, u32 place) {
  const u64 product = static_cast<u64>(place) * static_cast<u64>(params.load(NUM_DISTANCES));
  u32 column = static_cast<u32>(product >> 32);
  const u32 entry = static_cast<u32>(params.load(DISTANCES + static_cast<int>(column)));
  if ((static_cast<u32>(product) >> 8) >= (entry >> 8)) column = entry & 0xFFu;
  return static_cast<int>(column);
}

// The price of a limit order; false where the spread has no room.
template <int CAPACITY>
LOB_FUNC bool limit_price(Words params, const Book<CAPACITY>& book, const Event& event, int best, int reference_tick,
                          u32 place, int& price) {
  const int side = event.side, sign = 2 * side - 1, reference = zi::reference_price(book, side, reference_tick);
  const int empty = params.load(EMPTY_SPREAD_TICK);
  const i64 touch = best > 0 ? i64(book.price_tick.load(book.row(side) + best - 1)) : i64(reference) + sign * empty;
  if (event.kind == BEHIND) {
    price = static_cast<int>(touch + sign * behind_tick(params, place));
    return true;
  }
  const i64 room = sign * (touch - reference) - 1;
  if (room <= 0) return false;
  const i64 place_q16 = params.load(INSIDE_FRACS + static_cast<int>(place >> 25));
  price = static_cast<int>(touch - sign * (1 + (place_q16 * least(room, i64(0x7FFF)) >> FRAC_BITS)));
  return true;
}

// The message of an event, with the mark; NULL where it is impossible.
template <int CAPACITY>
LOB_FUNC Drawn drawn_event(const FlowInput& flow, const Book<CAPACITY>& book, const Event& event, const Side& own,
                           const RandomWords& word, i64 dt_us, int reference_tick, int& mark_q16) {
  Message message = no_message();
  const int size = static_cast<int>(word.d >> 25), side = event.side;
  message.side = side;
  if (event.kind == INSIDE || event.kind == BEHIND) {
    if (!limit_price(flow.params, book, event, own.best, reference_tick, word.c, message.price_tick)) {
      return {spec::FLOW_NULL, dt_us, no_message()};
    }
    message.kind = spec::LIMIT;
    message.lots = flow.params.load(LIMIT_LOTS + size);
    mark_q16 = flow.params.load(LIMIT_MARKS + size);
  } else if (event.kind == TAKE) {
    if (book.num_orders(side) == 0) return {spec::FLOW_NULL, dt_us, no_message()};
    message.kind = spec::MARKET;
    message.side = 1 - side;
    message.lots = flow.params.load(MARKET_LOTS + size);
    mark_q16 = flow.params.load(MARKET_MARKS + size);
  } else {
    const bool at_touch = event.kind == CANCEL_TOUCH, is_far = event.kind == FAR_CANCEL;
    const int top = is_far ? own.window : at_touch ? own.best : own.level;
    const int lowest = is_far ? 0 : at_touch ? own.level : own.window;
    if (top <= lowest) return {spec::FLOW_NULL, dt_us, no_message()};
    const int index = book.row(side) + lowest + static_cast<int>(zi::scale(word.c, top - lowest));
    if (book.owner.load(index) != 0) return {spec::FLOW_NULL, dt_us, no_message()};
    message.kind = spec::DELETE;
    message.order_id = book.order_id.load(index);
  }
  return {spec::FLOW_EVENT, dt_us, message};
}

}  // namespace hk

template <int CAPACITY>
LOB_FUNC Drawn sample_flow(const FlowInput& flow, const Book<CAPACITY>& book, Meta& meta) {
  if (flow.params.load(hk::NUM_SPREADS) <= 0) return {spec::FLOW_EXHAUSTED, 0, no_message()};
  const hk::Side buy = hk::side_state(flow.params, book, spec::BUY), sell = hk::side_state(flow.params, book, spec::SELL);
  const Lanes<i64> constant = hk::constant_rates(flow.params, book, buy, sell);
  const i64 constant_total = sum_lanes(narrow(constant));
  const i64 elapsed_us = hk::elapsed_us(meta);
  if (elapsed_us > 0) meta.flow = hk::decayed(flow.params, meta.flow, elapsed_us);
  const i64 total = constant_total + sum_lanes(narrow(hk::excitation_rates(flow.params, meta.flow)));
  const RandomWords word = philox4x32(flow.seed_0, flow.seed_1, static_cast<u32>(meta.draw), 0);
  const i64 dt_us = zi::waiting_time_us(word.b, total, flow.params.load(hk::RATE_SHIFT));
  meta.flow = hk::with_time(meta, hk::decayed(flow.params, meta.flow, dt_us), dt_us);
  const hk::Event event = hk::event_at(constant, constant_total, hk::excitation_rates(flow.params, meta.flow),
                                       zi::scale(word.a, total));
  if (event.kind < 0) return {spec::FLOW_NULL, dt_us, no_message()};
  int mark_q16 = 1 << hk::FRAC_BITS;
  const bool is_sell = event.side == spec::SELL;  // field by field: a choice between structures would go through memory
  const hk::Side own{select(is_sell, sell.best, buy.best), select(is_sell, sell.level, buy.level),
                     select(is_sell, sell.window, buy.window), 0};
  const Drawn drawn = hk::drawn_event(flow, book, event, own, word, dt_us, meta.reference_tick, mark_q16);
  if (drawn.status == spec::FLOW_EVENT && event.kind != hk::FAR_CANCEL) {
    meta.flow = hk::excited(flow.params, meta.flow, event.side, event.kind, mark_q16);
  }
  return drawn;
}
