// Monte Carlo P&L, normal or Student t, and filtered historical paths. What goes before this text: kernels/risk/cuda.py.
// Random words, normals and sums are those of montecarlo.py and filtered.py, in their order.

#define EACH(i, count) \
  for (i64 i = (i64)blockIdx.x * blockDim.x + threadIdx.x; i < (count); i += (i64)gridDim.x * blockDim.x)

// Standard normal quantile of (word + 1/2) / 2^32: PPND7 of AS 241, the branches of montecarlo.py.
__device__ static inline double normal(u32 word) {
  const double centre = (word + 0.5) * (1.0 / 4294967296.0) - 0.5;
  const double size = fabs(centre);
  if (size <= 0.425) {
    const double r = 0.180625 - centre * centre;
    const double top = ((5.9109374720e1 * r + 1.5929113202e2) * r + 5.0434271938e1) * r + 3.3871327179;
    return centre * top / (((6.7187563600e1 * r + 7.8757757664e1) * r + 1.7895169469e1) * r + 1.0);
  }
  const double r = sqrt(-log(0.5 - size)) - 1.6;
  const double top = ((1.7023821103e-1 * r + 1.3067284816) * r + 2.7568153900) * r + 1.4234372777;
  const double away = top / ((1.2021132975e-1 * r + 7.3700164250e-1) * r + 1.0);
  return centre > 0 ? away : -away;
}

// What the normal numbers of a scenario are multiplied by: 1 without a table, else exp of a cubic through four nodes of
// log sqrt((dof-2)/chi-squared) over the normal quantile of its word.
__device__ static inline double mixture(const double* table, u32 key_0, u32 key_1, u32 scenario) {
  if (table == nullptr) return 1.0;
  const double place = (normal(philox4x32(key_0, key_1, scenario, MIX_BLOCK).a) + MIX_LIMIT) * MIX_NODES_A_UNIT;
  const int node = (int)place;
  const double x = place - node;
  const double* at = table + node - 1;
  const double low = at[0] * x * (x - 1.0) * (x - 2.0) / -6.0 + at[1] * (x + 1.0) * (x - 1.0) * (x - 2.0) / 2.0;
  const double high = at[2] * (x + 1.0) * x * (x - 2.0) / -2.0 + at[3] * (x + 1.0) * x * (x - 1.0) / 6.0;
  return exp(low + high);
}

// pnl[c] = mean + m_s weights'z_s of scenario s = first + c. weights: 4 blocks numbers, padded by 0. A thread a scenario;
// all threads of a warp read the same weights at the same time.
extern "C" __global__ void linear_pnl(const double* weights, i64 blocks, const double* table, double mean, i64 first,
                                      i64 count, u32 key_0, u32 key_1, double* pnl) {
  EACH(c, count) {
    const u32 scenario = (u32)(first + c);
    double total = 0.0;
    for (i64 block = 0; block < blocks; ++block) {
      const RandomWords w = philox4x32(key_0, key_1, scenario, (u32)block);
      const double* at = weights + 4 * block;
      total += at[0] * normal(w.a) + at[1] * normal(w.b);
      total += at[2] * normal(w.c) + at[3] * normal(w.d);
    }
    pnl[c] = mean + total * mixture(table, key_0, key_1, scenario);
  }
}

// normals[c, n] = m_s z_s of scenario s = first + c and asset n, row-major. A thread a block of four assets, so that a
// warp writes 1 KB in one piece.
extern "C" __global__ void draw_normals(i64 assets, const double* mixes, i64 first, i64 count, u32 key_0, u32 key_1,
                                        double* normals) {
  const i64 blocks = (assets + 3) / 4;
  EACH(i, count * blocks) {
    const i64 c = i / blocks, block = i % blocks, left = assets - 4 * block;
    const RandomWords w = philox4x32(key_0, key_1, (u32)(first + c), (u32)block);
    const double mix = mixes == nullptr ? 1.0 : mixes[c];
    double* out = normals + c * assets + 4 * block;
    out[0] = mix * normal(w.a);
    if (left > 1) out[1] = mix * normal(w.b);
    if (left > 2) out[2] = mix * normal(w.c);
    if (left > 3) out[3] = mix * normal(w.d);
  }
}

// mixes[c] = m_s of scenario s = first + c.
extern "C" __global__ void draw_mixes(const double* table, i64 first, i64 count, u32 key_0, u32 key_1, double* mixes) {
  EACH(c, count) mixes[c] = mixture(table, key_0, key_1, (u32)(first + c));
}

// sums[p] = summed returns of `days` bootstrapped residuals whose variance moves on. A thread a path.
extern "C" __global__ void filtered_paths(const double* residuals, i64 total, i64 days, double variance, double mean,
                                          double omega, double alpha, double beta, i64 first, i64 count, u32 key_0,
                                          u32 key_1, double* sums) {
  EACH(p, count) {
    double now = variance, sum = 0.0;
    for (i64 day = 0; day < days; day += 4) {
      const RandomWords w = philox4x32(key_0, key_1, (u32)(first + p), (u32)(day / 4));
      const u32 words[4] = {w.a, w.b, w.c, w.d};
      for (int i = 0; i < 4 && day + i < days; ++i) {
        const double shock = sqrt(now) * residuals[(i64)(((u64)words[i] * (u64)total) >> 32)];
        sum += mean + shock;
        now = omega + alpha * shock * shock + beta * now;
      }
    }
    sums[p] = sum;
  }
}
