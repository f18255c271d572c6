"""Compression methods, one file each: a Keras model and data in, a smaller Keras model out."""
