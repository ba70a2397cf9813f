// `process`: all messages of a call on all books, one warp a book. Semantics: docs/engine.md.
//
// Compiled once a capacity, with LOB_CAPACITY, LOB_WARPS (a block) and LOB_BLOCKS (a multiprocessor)
// defined.
#include "prelude.cuh"

// Every member is eight bytes, so that the launcher packs the call as one row of 64-bit words.
struct ProcessCall {
  BookFields books;
  const int* messages;
  const int* reference_tick;
  BookFields new_books;
  int* reason;
  int* filled_lots;
  int* fills;
  int* num_fills;
  int* summary;
  int* depth;
  i64 batch;
  i64 num_messages;
  i64 max_fills;
  i64 levels;
  i64 fills_mode;
  i64 self_trade;
  i64 queue_model;
};

template <int CAPACITY>
LOB_FUNC void apply_messages(Market<CAPACITY>& market, const ProcessCall& call, i64 b, Words staged) {
  const int total = static_cast<int>(call.num_messages);
  const int* messages = call.messages + b * total * spec::NUM_MESSAGE_COLUMNS;
  const Words reason(call.reason + b * total), filled_lots(call.filled_lots + b * total);
  for (int base = 0; base < total; base += STAGED_MESSAGES) {
    const int number = least(total - base, STAGED_MESSAGES);
    sync_warp();
    stage(messages + static_cast<i64>(base) * spec::NUM_MESSAGE_COLUMNS, number, staged);
    Lanes<int> reasons(0), filled(0);
    for (int m = 0; m < number; ++m) {
      const Answer answer = apply(market, base + m, load_message(staged, m));
      reasons = select(lane_id() == m, answer.reason, reasons);
      filled = select(lane_id() == m, answer.filled, filled);
    }
    reason.store_if(lane_id() < number, base + lane_id(), reasons);
    filled_lots.store_if(lane_id() < number, base + lane_id(), filled);
  }
}

template <int CAPACITY>
LOB_FUNC void process_book(const ProcessCall& call, i64 b, Words fields, Words staged) {
  const int max_fills = static_cast<int>(call.max_fills), levels = static_cast<int>(call.levels);
  const Tape tape{call.fills + b * max_fills * spec::NUM_FILL_COLUMNS,
                  0,
                  max_fills,
                  static_cast<int>(call.fills_mode),
                  static_cast<int>(call.self_trade),
                  static_cast<int>(call.queue_model),
                  read_only(call.reference_tick + b).load(0)};
  Market<CAPACITY> market = load_market<CAPACITY>(call.books, b, fields, tape);
  apply_messages(market, call, b, staged);
  clear_fills(market.tape);
  save_summary(market, call.summary + b * spec::NUM_SUMMARY, call.num_fills + b);
  save_depth(market.book, call.depth + b * 4 * levels, levels);
  save_book(market.book, call.new_books, b);
}

LOB_KERNEL(lob_process, ProcessCall, process_book)
