"""The deployable bundle and scoring with it: numpy, Pillow, pydantic, onnxruntime."""
