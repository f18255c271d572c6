"""From a float model and calibration data to an integer `.tflite` that is proven to be integer."""
