"""An int8 `.tflite` as ONNX with QuantizeLinear and DequantizeLinear pairs (`--to onnx-qdq`)."""
