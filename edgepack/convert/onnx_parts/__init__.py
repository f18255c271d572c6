"""ONNX operators in the parts that onnx2tf and TFLite have, with the same results."""
