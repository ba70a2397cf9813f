// The replay flow: the next row of `background` at its recorded time, exhausted after the last; as `replay_sampler` in
// kernels/lob/step.py. A row whose time is before the clock leaves the clock.
#pragma once

template <int CAPACITY>
LOB_FUNC Drawn sample_flow(const FlowInput& flow, const Book<CAPACITY>&, Meta& meta) {
  const int row = meta.cursor;
  if (row >= flow.num_background) return {spec::FLOW_EXHAUSTED, 0, no_message()};
  meta.cursor = row + 1;
  const Message message = load_message(flow.background, row);
  if (message.time_s > meta.clock_s || (message.time_s == meta.clock_s && message.time_ns > meta.clock_ns)) {
    meta.clock_s = message.time_s;
    meta.clock_ns = message.time_ns;
  }
  return {spec::FLOW_EVENT, 0, message};
}
