"""Order-book engine kernels; semantics in docs/engine.md."""
