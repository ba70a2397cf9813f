// The 32 lanes of a warp on a GPU: a lane's value is a plain register. The twin for the host is warp_host.h.
//
// Code above this header is written once, warp-synchronously. Plain `int` and `bool` are uniform: the same on every lane.
// `Lanes<T>` may differ from lane to lane. On the GPU both are the same type; on the host only uniform values convert to
// bool, so that a branch on a value that differs between lanes does not compile there.
#pragma once

#define LOB_FUNC __device__ __forceinline__
#define LOB_CONSTANT static __constant__ const

#define LOB_PRAGMA(text) _Pragma(#text)
#define LOB_UNROLL(times) LOB_PRAGMA(unroll times)

using i64 = long long;
using u64 = unsigned long long;
using u32 = unsigned int;

template <class T>
using Lanes = T;

struct alignas(16) Four {
  int a, b, c, d;
};

constexpr u32 ALL_LANES = 0xffffffffu;

LOB_FUNC Lanes<int> lane_id() { return threadIdx.x; }  // blocks are (32, warps)

// Waits for the warp and orders its memory accesses: what a lane wrote before is read by every lane after.
LOB_FUNC void sync_warp() { __syncwarp(); }

LOB_FUNC u32 ballot(Lanes<bool> where) { return __ballot_sync(ALL_LANES, where); }
LOB_FUNC int popc(u32 mask) { return __popc(mask); }
LOB_FUNC int leading_zeros(u32 word) { return __clz(word); }
LOB_FUNC int first_lane(u32 mask) { return __ffs(mask) - 1; }
LOB_FUNC Lanes<u32> lanes_below() { return (1u << lane_id()) - 1; }

template <class T>
LOB_FUNC T select(bool where, T yes, T no) {
  return where ? yes : no;
}
template <class T>
LOB_FUNC T least(T a, T b) {
  return a < b ? a : b;
}
template <class T>
LOB_FUNC T most(T a, T b) {
  return a > b ? a : b;
}
LOB_FUNC i64 widen(int value) { return value; }
LOB_FUNC int narrow(i64 value) { return static_cast<int>(value); }

// Sum over the lanes of values in 0..2^31-1, exact: two reductions of half words, which 32 lanes cannot overflow.
LOB_FUNC i64 sum_lanes(Lanes<int> value) {
  const u32 low = __reduce_add_sync(ALL_LANES, static_cast<u32>(value) & 0xffffu);
  const u32 high = __reduce_add_sync(ALL_LANES, static_cast<u32>(value) >> 16);
  return (static_cast<i64>(high) << 16) + low;
}

// Sum over the lanes up to and with each lane.
LOB_FUNC Lanes<i64> scan_lanes(Lanes<i64> value) {
  for (int step = 1; step < 32; step *= 2) {
    const i64 before = __shfl_up_sync(ALL_LANES, value, step);
    value += lane_id() >= step ? before : 0;
  }
  return value;
}

// Words of shared or global memory.
class Words {
 public:
  LOB_FUNC explicit Words(int* base) : base_(base) {}
  LOB_FUNC Words from(i64 offset) const { return Words(base_ + offset); }
  LOB_FUNC int load(int index) const { return base_[index]; }
  LOB_FUNC int load_if(bool where, int index, int otherwise) const { return where ? base_[index] : otherwise; }
  LOB_FUNC void store(int index, int value) const { base_[index] = value; }
  LOB_FUNC void store_if(bool where, int index, int value) const {
    if (where) base_[index] = value;
  }
  // `index` counts groups of four words; the base is aligned to 16 bytes.
  LOB_FUNC Four load_four(int index) const { return reinterpret_cast<const Four*>(base_)[index]; }
  LOB_FUNC Four load_four_if(bool where, int index) const {
    return where ? reinterpret_cast<const Four*>(base_)[index] : Four{0, 0, 0, 0};
  }
  LOB_FUNC void store_four_if(bool where, int index, Four value) const {
    if (where) reinterpret_cast<Four*>(base_)[index] = value;
  }

 private:
  int* base_;
};

// Global memory whose words pass from lane to lane.
LOB_FUNC Words exchanged(int* base, i64) { return Words(base); }

// Memory of an argument of the kernel: `read_only` says that nothing is written through it.
LOB_FUNC Words read_only(const int* base) { return Words(const_cast<int*>(base)); }

// Writes eight words, one lane for all.
LOB_FUNC void store_row(int* row, Four first, Four second) {
  if (lane_id() == 0) {
    reinterpret_cast<Four*>(row)[0] = first;
    reinterpret_cast<Four*>(row)[1] = second;
  }
}
