"""Version 1 of the bridge's API; see bridge.proto."""
