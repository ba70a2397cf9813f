"""What can be missing for the CUDA backend."""


class CudaMissingError(RuntimeError):
    """A component that the CUDA backend needs is not on this machine; the sentence says which and how to get it."""
