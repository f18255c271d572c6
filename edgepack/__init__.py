"""edgepack: a trained network in, firmware that runs on a microcontroller out, with proof."""

__version__ = "0.1.0"
