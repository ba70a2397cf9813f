"""Schedules and rounding in CUDA C: the signatures and the bits of the NumPy reference. Not run on a GPU yet.

One thread a parent, striding over the grid; arrays are slice-major [N, P], so a warp reads neighbouring addresses; no
shared memory, no atomics, so the result is deterministic. It must be compiled with `--fmad=false` (OPTIONS): a fused
multiply-add rounds once where NumPy and numba round twice. The tests compile the source to sm_90 by NVRTC, and run the
same text as host code against the reference; a launch on a device has not been measured.
"""

from typing import Any, Final

from kernels.cupy_module import load_module

OPTIONS: Final = ("--fmad=false", "--std=c++17")
THREADS: Final = 128
NAMES: Final = ("schedule_fractions", "round_children")

SOURCE: Final = r"""
#define EACH_PARENT(p, count) \
    for (long long p = (long long)blockIdx.x * blockDim.x + threadIdx.x; p < (count); \
         p += (long long)gridDim.x * blockDim.x)

__device__ static double lesser(double a, double b) { return a < b ? a : b; }
__device__ static long long least(long long a, long long b) { return a < b ? a : b; }

__device__ static void vwap(long long p, int slices, long long count, const double* curve, double* fractions) {
    double total = 0.0;
    for (int k = 0; k < slices; ++k) {
        total += curve[k * count + p];
        fractions[k * count + p] = total;
    }
    for (int k = 0; k < slices; ++k) fractions[k * count + p] /= total;
}

// The output serves as scratch: first the ratios, from the end; then the fractions, from the start.
__device__ static void almgren_chriss(long long p, int slices, long long count, double curvature, double* fractions) {
    double ratio = 0.0, held = 1.0;
    fractions[(slices - 1) * count + p] = 0.0;
    for (int k = slices - 2; k >= 0; --k) {
        ratio = 1.0 / (2.0 + curvature - ratio);
        fractions[k * count + p] = ratio;
    }
    for (int k = 0; k < slices; ++k) {
        held *= fractions[k * count + p];
        fractions[k * count + p] = 1.0 - held;
    }
}

extern "C" __global__ void schedule_fractions(const int* kind, const int* num_slices, const double* shape,
                                              const double* curve, double* fractions, long long rows,
                                              long long count) {
    EACH_PARENT(p, count) {
        const int slices = num_slices[p];
        if (kind[p] == 0) {
            for (int k = 0; k < slices; ++k) fractions[k * count + p] = (k + 1.0) / slices;
        } else if (kind[p] == 1) {
            vwap(p, slices, count, curve, fractions);
        } else if (kind[p] == 2) {
            almgren_chriss(p, slices, count, shape[p], fractions);
        } else {
            const double end = 1.0 / ((slices - 2.0) * shape[p] + 2.0);
            for (int k = 0; k < slices; ++k) fractions[k * count + p] = end * (1.0 + k * shape[p]);
        }
        for (int k = 0; k < slices - 1; ++k) fractions[k * count + p] = lesser(fractions[k * count + p], 1.0);
        for (long long k = slices - 1; k < rows; ++k) fractions[k * count + p] = 1.0;
    }
}

extern "C" __global__ void round_children(const double* fractions, const int* num_slices,
                                          const long long* parent_lots, const long long* lot_step,
                                          const long long* cap_lots, long long* child_lots, long long rows,
                                          long long count) {
    EACH_PARENT(p, count) {
        const long long step = lot_step[p], units = parent_lots[p] / step;
        const int slices = num_slices[p];
        long long later = 0, done = 0;
        for (int k = 0; k < slices; ++k) later += least(cap_lots[k * count + p] / step, units);
        for (int k = 0; k < slices; ++k) {
            const long long cap = least(cap_lots[k * count + p] / step, units);
            later -= cap;
            const long long target = (long long)rint((double)units * fractions[k * count + p]);
            const long long wanted = target > units - later ? target : units - later;
            const long long now = least(done + cap, wanted);
            child_lots[k * count + p] = (now - done) * step;
            done = now;
        }
        for (long long k = slices; k < rows; ++k) child_lots[k * count + p] = 0;
    }
}
"""


def schedule_fractions(kind: Any, num_slices: Any, shape: Any, curve: Any, fractions: Any) -> None:
    """Write the cumulative fractions float64[N, P] of a checked batch, NumPy or CuPy arrays."""
    _launch("schedule_fractions", (kind, num_slices, shape, curve), fractions)


def round_children(
    fractions: Any, num_slices: Any, parent_lots: Any, lot_step: Any, cap_lots: Any, child_lots: Any
) -> None:
    """Write child lots int64[N, P] from cumulative fractions float64[N, P], NumPy or CuPy arrays."""
    _launch("round_children", (fractions, num_slices, parent_lots, lot_step, cap_lots), child_lots)


def _module() -> tuple[Any, Any]:
    return load_module(SOURCE, OPTIONS, "the execution kernels' cuda backend")


def _launch(name: str, inputs: tuple[Any, ...], output: Any) -> None:
    cupy, module = _module()
    rows, count = output.shape
    if count == 0:
        return
    device = [cupy.ascontiguousarray(cupy.asarray(array)) for array in inputs]
    result = cupy.empty((rows, count), output.dtype)
    blocks = min((count + THREADS - 1) // THREADS, 65_535)
    sizes = (cupy.int64(rows), cupy.int64(count))
    module.get_function(name)((blocks,), (THREADS,), (*device, result, *sizes))
    output[...] = result if isinstance(output, cupy.ndarray) else cupy.asnumpy(result)
