"""ONNX's own node tests through our conversion and every runtime of ours (docs/onnx_nodes.md)."""
