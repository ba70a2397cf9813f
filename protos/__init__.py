"""Wire, journal and artifact contracts: sources and generated code together."""
