"""The only way into the IR: .tflite files."""
