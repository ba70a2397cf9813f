// Philox 4x32-7, as in kernels/lob/philox.py: counter-based random numbers, any draw again alone.
#pragma once

struct RandomWords {
  u32 a, b, c, d;
};

// Four words for key (key_0, key_1) and counter (counter_0, counter_1, 0, 0).
LOB_FUNC RandomWords philox4x32(u32 key_0, u32 key_1, u32 counter_0, u32 counter_1) {
  u32 a = counter_0, b = counter_1, c = 0, d = 0;
  for (int round = 0; round < 7; ++round) {
    const u64 first = static_cast<u64>(0xD2511F53u) * a, second = static_cast<u64>(0xCD9E8D57u) * c;
    a = static_cast<u32>(second >> 32) ^ b ^ key_0;
    b = static_cast<u32>(second);
    c = static_cast<u32>(first >> 32) ^ d ^ key_1;
    d = static_cast<u32>(first);
    key_0 += 0x9E3779B9u;
    key_1 += 0xBB67AE85u;
  }
  return {a, b, c, d};
}
