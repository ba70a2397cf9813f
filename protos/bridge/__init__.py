"""The bridge's gRPC API: sources and generated code."""
