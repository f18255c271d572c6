"""Sessions with a device, the host reference, the oracle, parity and statistics."""
