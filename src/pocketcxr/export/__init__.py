"""ONNX graphs, parity with torch and Pillow, the packed bundle."""
