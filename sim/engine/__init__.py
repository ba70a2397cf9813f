"""The order-book engine inside JAX: bindings of the kernels and the XLA twin."""
