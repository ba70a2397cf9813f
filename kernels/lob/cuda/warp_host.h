// The 32 lanes of a warp on the host, in lockstep: the twin of warp_device.cuh for tests without a GPU.
//
// Memory that lanes share keeps a log of who read and wrote each word since the last sync_warp. An access that on a GPU
// depends on which lane runs first (a word read by one lane and written by another without a sync between) is counted.
#pragma once

#include <cstring>
#include <vector>

#define LOB_FUNC inline
#define LOB_CONSTANT static const
#define LOB_UNROLL(times)

using i64 = long long;
using u64 = unsigned long long;
using u32 = unsigned int;

template <class T>
struct Lanes {
  T v[32];
  Lanes() = default;
  Lanes(T uniform) {
    for (T& lane : v) lane = uniform;
  }
};

struct alignas(16) Four {
  int a, b, c, d;
};

// What a run did, for the estimate of its cost on a GPU, and the races it met. One thread a run.
struct Run {
  u64 epoch = 1;
  i64 races = 0;
  i64 loads = 0;
  i64 stores = 0;
  i64 votes = 0;
  i64 syncs = 0;
  i64 reductions = 0;
};
inline Run& run() {
  static thread_local Run state;
  return state;
}

#define LOB_OPERATOR(symbol, Result)                                   \
  template <class T>                                                   \
  inline Lanes<Result> operator symbol(Lanes<T> a, Lanes<T> b) {       \
    Lanes<Result> out;                                                 \
    for (int i = 0; i < 32; ++i) out.v[i] = a.v[i] symbol b.v[i];      \
    return out;                                                        \
  }                                                                    \
  template <class T>                                                   \
  inline Lanes<Result> operator symbol(Lanes<T> a, T b) {              \
    return a symbol Lanes<T>(b);                                       \
  }                                                                    \
  template <class T>                                                   \
  inline Lanes<Result> operator symbol(T a, Lanes<T> b) {              \
    return Lanes<T>(a) symbol b;                                       \
  }
LOB_OPERATOR(+, T)
LOB_OPERATOR(-, T)
LOB_OPERATOR(*, T)
LOB_OPERATOR(&, T)
LOB_OPERATOR(|, T)
LOB_OPERATOR(^, T)
LOB_OPERATOR(==, bool)
LOB_OPERATOR(!=, bool)
LOB_OPERATOR(<, bool)
LOB_OPERATOR(<=, bool)
LOB_OPERATOR(>, bool)
LOB_OPERATOR(>=, bool)
#undef LOB_OPERATOR

inline Lanes<int> lane_id() {
  Lanes<int> out;
  for (int i = 0; i < 32; ++i) out.v[i] = i;
  return out;
}

inline void sync_warp() {
  ++run().epoch;
  ++run().syncs;
}

inline u32 ballot(Lanes<bool> where) {
  ++run().votes;
  u32 mask = 0;
  for (int i = 0; i < 32; ++i) mask |= static_cast<u32>(where.v[i]) << i;
  return mask;
}
inline int popc(u32 mask) { return __builtin_popcount(mask); }
inline Lanes<int> popc(Lanes<u32> mask) {
  Lanes<int> out;
  for (int i = 0; i < 32; ++i) out.v[i] = __builtin_popcount(mask.v[i]);
  return out;
}
inline int leading_zeros(u32 word) { return word == 0 ? 32 : __builtin_clz(word); }
inline int first_lane(u32 mask) { return mask == 0 ? -1 : __builtin_ctz(mask); }
inline Lanes<u32> lanes_below() {
  Lanes<u32> out;
  for (int i = 0; i < 32; ++i) out.v[i] = (1u << i) - 1;
  return out;
}

template <class T>
inline Lanes<T> select(Lanes<bool> where, Lanes<T> yes, Lanes<T> no) {
  Lanes<T> out;
  for (int i = 0; i < 32; ++i) out.v[i] = where.v[i] ? yes.v[i] : no.v[i];
  return out;
}
template <class T>
inline Lanes<T> select(Lanes<bool> where, T yes, Lanes<T> no) {
  return select(where, Lanes<T>(yes), no);
}
template <class T>
inline Lanes<T> select(Lanes<bool> where, Lanes<T> yes, T no) {
  return select(where, yes, Lanes<T>(no));
}
template <class T>
inline Lanes<T> select(Lanes<bool> where, T yes, T no) {
  return select(where, Lanes<T>(yes), Lanes<T>(no));
}
template <class T>
inline T select(bool where, T yes, T no) {
  return where ? yes : no;
}

template <class T>
inline T least(T a, T b) {
  return a < b ? a : b;
}
template <class T>
inline T most(T a, T b) {
  return a > b ? a : b;
}
template <class T>
inline Lanes<T> least(Lanes<T> a, Lanes<T> b) {
  return select(a < b, a, b);
}
template <class T>
inline Lanes<T> most(Lanes<T> a, Lanes<T> b) {
  return select(a > b, a, b);
}

inline i64 widen(int value) { return value; }
inline Lanes<i64> widen(Lanes<int> value) {
  Lanes<i64> out;
  for (int i = 0; i < 32; ++i) out.v[i] = value.v[i];
  return out;
}
inline Lanes<int> narrow(Lanes<i64> value) {
  Lanes<int> out;
  for (int i = 0; i < 32; ++i) out.v[i] = static_cast<int>(value.v[i]);
  return out;
}

inline i64 sum_lanes(Lanes<int> value) {
  run().reductions += 2;
  i64 total = 0;
  for (int lane : value.v) total += lane;
  return total;
}

inline Lanes<i64> scan_lanes(Lanes<i64> value) {
  run().reductions += 10;
  for (int i = 1; i < 32; ++i) value.v[i] += value.v[i - 1];
  return value;
}

// Who read and who wrote a word since the last sync, as masks of lanes.
struct Access {
  u64 write_epoch = 0;
  u64 read_epoch = 0;
  u32 writers = 0;
  u32 readers = 0;

  void read(u32 lanes) {
    if (write_epoch == run().epoch && (lanes & ~writers) != 0) ++run().races;
    readers = lanes | (read_epoch == run().epoch ? readers : 0);
    read_epoch = run().epoch;
  }
  void write(u32 lanes) {
    const bool alone = (lanes & (lanes - 1)) == 0;
    if (write_epoch == run().epoch && !(alone && writers == lanes)) ++run().races;
    if (read_epoch == run().epoch && !(alone && readers == lanes)) ++run().races;
    writers = lanes;
    write_epoch = run().epoch;
  }
};

constexpr u32 ALL_LANES = 0xffffffffu;

class Words {
 public:
  explicit Words(int* base, Access* log = nullptr) : base_(base), log_(log) {}
  Words from(i64 offset) const { return Words(base_ + offset, log_ == nullptr ? nullptr : log_ + offset); }

  int load(int index) const {
    ++run().loads;
    if (log_ != nullptr) log_[index].read(ALL_LANES);
    return base_[index];
  }
  Lanes<int> load(Lanes<int> index) const { return load_if(Lanes<bool>(true), index, 0); }
  Lanes<int> load_if(Lanes<bool> where, Lanes<int> index, Lanes<int> otherwise) const {
    ++run().loads;
    for (int i = 0; i < 32; ++i) {
      if (!where.v[i]) continue;
      if (log_ != nullptr) log_[index.v[i]].read(1u << i);
      otherwise.v[i] = base_[index.v[i]];
    }
    return otherwise;
  }
  void store(int index, int value) const {
    ++run().stores;
    if (log_ != nullptr) log_[index].write(ALL_LANES);
    base_[index] = value;
  }
  void store_if(Lanes<bool> where, Lanes<int> index, Lanes<int> value) const {
    ++run().stores;
    for (int i = 0; i < 32; ++i) {
      if (!where.v[i]) continue;
      if (log_ != nullptr) log_[index.v[i]].write(1u << i);
      base_[index.v[i]] = value.v[i];
    }
  }
  Four load_four(int index) const {
    ++run().loads;
    for (int word = 0; log_ != nullptr && word < 4; ++word) log_[4 * index + word].read(ALL_LANES);
    Four out;
    std::memcpy(&out, base_ + 4 * index, sizeof out);
    return out;
  }
  Lanes<Four> load_four_if(Lanes<bool> where, Lanes<int> index) const {
    ++run().loads;
    Lanes<Four> out(Four{0, 0, 0, 0});
    for (int i = 0; i < 32; ++i) {
      if (!where.v[i]) continue;
      for (int word = 0; log_ != nullptr && word < 4; ++word) log_[4 * index.v[i] + word].read(1u << i);
      std::memcpy(&out.v[i], base_ + 4 * index.v[i], sizeof(Four));
    }
    return out;
  }
  void store_four_if(Lanes<bool> where, Lanes<int> index, Lanes<Four> value) const {
    ++run().stores;
    for (int i = 0; i < 32; ++i) {
      if (!where.v[i]) continue;
      for (int word = 0; log_ != nullptr && word < 4; ++word) log_[4 * index.v[i] + word].write(1u << i);
      std::memcpy(base_ + 4 * index.v[i], &value.v[i], sizeof(Four));
    }
  }

 private:
  int* base_;
  Access* log_;
};

// Global memory whose words pass from lane to lane: with a log of its own, one range a call of the kernel.
inline Words exchanged(int* base, i64 words) {
  static thread_local std::vector<Access> log;
  log.assign(words, Access{});
  return Words(base, log.data());
}

inline Words read_only(const int* base) { return Words(const_cast<int*>(base)); }

inline void store_row(int* row, Four first, Four second) {
  run().stores += 2;
  std::memcpy(row, &first, sizeof first);
  std::memcpy(row + 4, &second, sizeof second);
}
