// The market step: background flow, agents' messages under way, and the book, one warp a market. Semantics: docs/engine.md.
//
// The flow is sampled in here, because the next event depends on the book after the last one: `flow.cuh` is the source of
// a flow model with
//   template <int CAPACITY> Drawn sample_flow(const FlowInput&, const Book<CAPACITY>&, Meta&)
// which sees slots below num_orders only, and changes no word of meta but the clock, the next order id, the cursor and the
// flow's own.
// Compiled once a capacity and flow, with LOB_CAPACITY, LOB_WARPS (a block) and LOB_BLOCKS (a multiprocessor)
// defined.
#include "prelude.cuh"
#include "philox.cuh"
#include "market.cuh"
#include "flow.cuh"

// Every member is eight bytes, so that the launcher packs the call as one row of 64-bit words.
struct MarketCall {
  BookFields books;
  const int* inbox;
  const int* meta;
  const u32* seed;
  const int* agent_messages;
  const int* flow_params;
  const int* background;
  const int* horizon;
  BookFields new_books;
  int* new_inbox;
  int* new_meta;
  int* fills;
  int* num_fills;
  int* summary;
  int* depth;
  int* own;
  i64 batch;
  i64 inbox_size;
  i64 num_agent_messages;
  i64 num_params;
  i64 num_background;
  i64 max_fills;
  i64 levels;
  i64 num_learners;
  i64 self_trade;
  i64 queue_model;
};

// Applies the background's event and then every message that has arrived by the clock.
template <int CAPACITY>
LOB_FUNC void serve(Market<CAPACITY>& market, int ordinal, Message message, Words inbox, Meta& meta, i64& next_arrival) {
  const i64 now_ns = clock_of(meta.clock_s, meta.clock_ns);
  int served = 0;
  for (;;) {
    apply(market, ordinal, message);
    if (next_arrival > now_ns) break;
    message = load_message(inbox, served);
    ++served;
    next_arrival = arrival(inbox, meta, served);
  }
  if (served > 0) drop_front(inbox, meta, served);
}

struct Ran {
  int events;
  int exhausted;
};

// Runs events to the horizon of (events, microseconds or 0).
template <int CAPACITY>
LOB_FUNC Ran run_events(Market<CAPACITY>& market, const FlowInput& flow, Words inbox, Meta& meta, int most_events,
                        int horizon_us) {
  const i64 start_ns = clock_of(meta.clock_s, meta.clock_ns);
  const i64 end_ns = horizon_us > 0 ? start_ns + static_cast<i64>(horizon_us) * 1000 : NEVER;
  i64 next_arrival = arrival(inbox, meta, 0);
  Ran ran{0, 0};
  while (ran.events < most_events) {
    meta.draw = static_cast<int>(static_cast<u32>(meta.draw) + 1u);
    const Meta before = meta;
    Drawn drawn = sample_flow(flow, market.book, meta);
    if (drawn.status == spec::FLOW_EXHAUSTED) {
      meta = before;
      ran.exhausted = 1;
      break;
    }
    if (clock_of(meta.clock_s, meta.clock_ns) + drawn.dt_us * 1000 > end_ns) {
      meta = before;
      set_clock(meta, end_ns);
      break;
    }
    advance(meta, drawn.dt_us);
    if (drawn.status != spec::FLOW_EVENT) continue;
    complete(meta, drawn.message);
    serve(market, ran.events, drawn.message, inbox, meta, next_arrival);
    ++ran.events;
  }
  return ran;
}

template <int CAPACITY>
LOB_FUNC void step_market(const MarketCall& call, i64 b, Words fields, Words) {
  const int max_fills = static_cast<int>(call.max_fills), levels = static_cast<int>(call.levels);
  const int inbox_size = static_cast<int>(call.inbox_size), num_agents = static_cast<int>(call.num_agent_messages);
  Meta meta = load_meta(call.meta + b * spec::NUM_META);
  meta.cursor = 0;
  const Tape tape{call.fills + b * max_fills * spec::NUM_FILL_COLUMNS,
                  0,
                  max_fills,
                  spec::FILLS_OWNED,
                  static_cast<int>(call.self_trade),
                  static_cast<int>(call.queue_model),
                  meta.reference_tick};
  Market<CAPACITY> market = load_market<CAPACITY>(call.books, b, fields, tape);
  const i64 inbox_words = static_cast<i64>(inbox_size) * ROW;
  const Words inbox = exchanged(call.new_inbox + b * inbox_words, inbox_words);
  copy_words(read_only(call.inbox + b * inbox_words), inbox, inbox_size * ROW);
  sync_warp();
  accept(inbox, inbox_size, meta, read_only(call.agent_messages + b * num_agents * ROW), num_agents);
  const FlowInput flow{read_only(call.flow_params + b * call.num_params),
                       read_only(call.background + b * call.num_background * ROW),
                       static_cast<int>(call.num_background), call.seed[2 * b], call.seed[2 * b + 1]};
  const Words horizon = read_only(call.horizon + 2 * b);
  const Ran ran = run_events(market, flow, inbox, meta, horizon.load(0), horizon.load(1));
  market.summary.set(spec::SUM_EVENTS, ran.events);
  market.summary.set(spec::SUM_EXHAUSTED, ran.exhausted);
  clear_fills(market.tape);
  save_summary(market, call.summary + b * spec::NUM_SUMMARY, call.num_fills + b);
  save_depth(market.book, call.depth + b * 4 * levels, levels);
  save_own(market.book, call.own + b * call.num_learners * 2 * spec::NUM_OWN_COLUMNS, static_cast<int>(call.num_learners));
  save_book(market.book, call.new_books, b);
  save_meta(meta, call.new_meta + b * spec::NUM_META);
}

LOB_KERNEL(lob_market_step, MarketCall, step_market)
