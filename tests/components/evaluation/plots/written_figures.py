"""Written figures: the pixels of a file, the texts of a figure and whether they can be read."""

import matplotlib.text
import numpy as np
from PIL import Image


def pixels(path):
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def texts(figure):
    return [text.get_text() for text in figure.findobj(matplotlib.text.Text) if text.get_text()]


def assert_no_text_overlaps(figure):
    renderer = figure.canvas.get_renderer()
    boxes = [
        (text.get_text(), text.get_window_extent(renderer))
        for text in figure.findobj(matplotlib.text.Text)
        if text.get_text() and text.get_visible() and text.axes and text.axes.get_visible()
    ]
    # Of every tick there is a second, unused label at the same place.
    boxes = list({(name, box.x0, box.y0): (name, box) for name, box in boxes}.values())
    for index, (name, box) in enumerate(boxes):
        for other_name, other in boxes[index + 1 :]:
            overlap = min(box.x1, other.x1) - max(box.x0, other.x0) > 1
            overlap &= min(box.y1, other.y1) - max(box.y0, other.y0) > 1
            assert not overlap, (name, other_name)
