"""The order book on an NVIDIA GPU: CUDA C++, its compilation without a GPU, and its twin on the host for tests."""
