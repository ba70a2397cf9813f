// What every kernel of the engine includes, and how a function of one book becomes a kernel.
#pragma once

#ifdef LOB_HOST
#include "warp_host.h"
inline Lanes<u32> to_unsigned(Lanes<int> value) {
  Lanes<u32> out;
  for (int i = 0; i < 32; ++i) out.v[i] = static_cast<u32>(value.v[i]);
  return out;
}
inline Lanes<int> to_signed(Lanes<u32> value) {
  Lanes<int> out;
  for (int i = 0; i < 32; ++i) out.v[i] = static_cast<int>(value.v[i]);
  return out;
}
#else
#include "warp_device.cuh"
LOB_FUNC u32 to_unsigned(int value) { return static_cast<u32>(value); }
LOB_FUNC int to_signed(u32 value) { return static_cast<int>(value); }
#endif

#include "spec.cuh"
#include "book.cuh"
#include "level.cuh"
#include "message.cuh"
#include "transfer.cuh"

// The kernel `name` runs `body` on every book of the call: on a GPU one warp a book, on the host one after the other.
#ifdef LOB_HOST
#define LOB_KERNEL(name, Call, body)                                                                      \
  extern "C" void name(const Call* call, Run* told) {                                                     \
    static thread_local SharedBook<LOB_CAPACITY> shared;                                                  \
    static thread_local Access log[sizeof(shared) / sizeof(int)];                                         \
    run() = Run{};                                                                                        \
    for (Access& word : log) word = Access{};                                                             \
    for (i64 b = 0; b < call->batch; ++b) {                                                               \
      std::memset(&shared, 0xA5, sizeof shared); /* shared memory of a GPU holds anything at first */     \
      sync_warp();                                                                                        \
      const Words words(shared.fields, log);                                                              \
      body<LOB_CAPACITY>(*call, b, words, words.from(sizeof(shared.fields) / sizeof(int)));               \
    }                                                                                                     \
    *told = run();                                                                                        \
  }
#else
#define LOB_KERNEL(name, Call, body)                                                                      \
  extern "C" __global__ void __launch_bounds__(32 * LOB_WARPS, LOB_BLOCKS) name(const Call call) {        \
    __shared__ SharedBook<LOB_CAPACITY> shared[LOB_WARPS];                                                \
    const i64 b = static_cast<i64>(blockIdx.x) * LOB_WARPS + threadIdx.y;                                 \
    if (b >= call.batch) return;                                                                          \
    body<LOB_CAPACITY>(call, b, Words(shared[threadIdx.y].fields), Words(shared[threadIdx.y].staged));    \
  }
#endif
