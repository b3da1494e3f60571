"""Boxes as sets of pixels."""


def iou_on_grid(first, second):
    """Intersection over union of two boxes with whole-numbered corners, x1, y1, x2, y2, counted pixel by pixel."""
    pixels = [{(x, y) for x in range(box[0], box[2]) for y in range(box[1], box[3])} for box in (first, second)]
    return len(pixels[0] & pixels[1]) / len(pixels[0] | pixels[1])
