"""The hot path: the same function as reference, CPU and CUDA; arrays in, arrays out; never imports JAX."""
