"""From a decision to messages, and from a parent order to children, venues and a cost report (docs/execution.md)."""
