"""The doors through which faithfulness metrics see a model: whatever engine runs it, it is two callables of numpy."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Predict = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""Model inputs [b, c, s, s] -> probabilities [b, finding]; NaN in the column of a finding the model never learnt."""

Explain = Callable[[NDArray[np.float32], Sequence[int]], NDArray[np.float32]]
"""Model inputs [b, c, s, s] and k columns of Predict's answer -> raw saliency [b, k, h, w] over the square input."""
