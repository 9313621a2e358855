"""Air inside the soft tissue, as path lengths in cm: trachea, main bronchi, stomach bubble."""

import numpy as np

from pocketcxr.phantom.anatomy import Anatomy
from pocketcxr.phantom.canvas import Canvas, Map, ramp
from pocketcxr.phantom.thorax import LEFT, Ellipsoid, chord, dome_curve

TRACHEA_HALF_WIDTH_MM = 8.5
TRACHEA_DEPTH_CM = 1.5
CARINA_Y_MM = -48.0


def remove_airways(canvas: Canvas, anatomy: Anatomy, body: Map) -> None:
    """Takes the air of trachea and main bronchi out of `body` (cm of soft tissue, [size, size])."""
    x0 = anatomy.mediastinum_shift + 0.8 * anatomy.rotation
    window = canvas.around(x0, -160, 14, 120)
    x = canvas.x[window.rows, window.columns] - np.float32(x0 - 2)
    y = canvas.y[window.rows, window.columns]
    tube = np.sqrt(np.maximum(1 - (x * np.float32(1 / TRACHEA_HALF_WIDTH_MM)) ** 2, 0))
    tube *= ramp(np.float32(CARINA_Y_MM) - y, 4.0)
    body[window.rows, window.columns] -= tube * np.float32(TRACHEA_DEPTH_CM)
    for solid in (
        Ellipsoid(x0 - 15, CARINA_Y_MM + 13, 24, 6.0, -0.98, 1.2),
        Ellipsoid(x0 + 18, CARINA_Y_MM + 13, 27, 5.5, 0.70, 1.1),
    ):
        window = canvas.around(solid.x, solid.y, solid.a, solid.a)
        body[window.rows, window.columns] -= chord(canvas, window, solid)


def remove_stomach_bubble(canvas: Canvas, anatomy: Anatomy, size: float, body: Map) -> None:
    """Takes the stomach's air under the left dome out of `body`; `size` is about 0.5..1.3."""
    x0 = 0.42 * anatomy.cage_half_width
    y0 = anatomy.dome_y(LEFT) + 20
    solid = Ellipsoid(x0, y0, 34 * size, 17 * size, 0.12, 4.2 * size)
    window = canvas.around(x0, y0, solid.a, solid.a)
    air = chord(canvas, window, solid)
    lateral = canvas.x[window.rows, window.columns]
    below = canvas.y[window.rows, window.columns] - dome_curve(anatomy, LEFT, lateral)
    air *= ramp(below - np.float32(7), 1.5)
    body[window.rows, window.columns] -= air
