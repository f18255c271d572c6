"""Quantized ONNX graphs to int8 `.tflite` with the scales and zero points that they carry."""
