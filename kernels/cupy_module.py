"""CUDA C compiled and loaded through CuPy, for kernels that are launched outside JAX."""

from functools import cache
from typing import Any

from kernels.lob.cuda.errors import CudaMissingError


@cache
def load_module(source: str, options: tuple[str, ...], what: str) -> tuple[Any, Any]:
    """Return CuPy and the compiled module of `source`, once a process.

    Raises CudaMissingError, with what `what` (the subject of its sentence) is missing, without CuPy or a GPU.
    """
    try:
        import cupy  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise CudaMissingError(f"{what} needs CuPy: pip install 'bookswarm[cuda]'") from None
    if not cupy.cuda.is_available():
        raise CudaMissingError(f"{what} found no GPU: use --backend cpu")
    return cupy, cupy.RawModule(code=source, options=options)
