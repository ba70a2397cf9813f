// A flow that follows `background` row by row; a row's time columns are the draw's (status, dt_us).
#pragma once

template <int CAPACITY>
LOB_FUNC Drawn sample_flow(const FlowInput& flow, const Book<CAPACITY>&, Meta& meta) {
  Message message = load_message(flow.background, meta.cursor++);
  const int status = message.time_s, dt_us = message.time_ns;
  message.time_s = message.time_ns = 0;
  return {status, dt_us, message};
}
