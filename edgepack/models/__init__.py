"""The front door of the model half: any trained model file -> `ModelHandle`.

TensorFlow is never imported into the calling process; what needs it runs in a child (`isolate`).
"""
