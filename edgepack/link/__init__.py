"""Byte links to a device, the framed extension, the text protocol, and a fake device."""
