"""The bytes of an image file to its pixels, in TensorFlow's operations alone, for the SavedModel.

The pixels equal those that training, evaluation and `tfcnn.predict` read from the same file. What these operations
cannot read equally is refused by an assertion that says what to send instead:

    JPEG   grey and colour, upright by EXIF or XMP; not CMYK
    PNG    every kind; 16-bit grey scaled, alpha over white, upright by EXIF or XMP; not animated
    BMP    uncompressed, of 8 bits with a palette or of 24 bits
    GIF    of one frame that fills it, without a transparent colour
"""

from __future__ import annotations

import tensorflow as tf

from tfcnn.export.orientation import exif_orientation, turn, xmp_orientation

MAX_PIXELS = 1024**3 // 12  # of one image, as in training
LUMA = (19595, 38470, 7471)  # ITU-R 601-2 in units of 1 / 65536
APP1 = b"\xff\xe1"  # the marker before EXIF and XMP in a JPEG
ADOBE = b"http://ns.adobe.com/xap/1.0/\0"  # what XMP begins with in a JPEG
INSTEAD = "send it as PNG of 8 bits, or its pixels to serve"


def decode_image(file: tf.Tensor, channels: int, white_level: int) -> tf.Tensor:
    """Decode one file.

    Args:
        file: string scalar, its bytes.
        channels: 1 or 3; colour becomes grey by luma, grey is repeated.
        white_level: the 16-bit grey sample that becomes 255.

    Returns:
        uint8 (height, width, channels). Fails with InvalidArgumentError for a file that cannot be read.
    """
    is_jpeg = _begins(file, b"\xff\xd8\xff")
    is_png = _begins(file, b"\x89PNG\r\n\x1a\n")
    is_bmp = _begins(file, b"BM") & (tf.strings.length(file) > 54)
    is_gif = _begins(file, b"GIF8") & (tf.strings.length(file) > 13)
    is_supported = is_jpeg | is_png | is_bmp | is_gif
    with tf.control_dependencies([_check(is_supported, f"reads JPEG, PNG, BMP and GIF, and this is none: {INSTEAD}")]):
        file = tf.identity(file)

    def decode_png() -> tf.Tensor:
        return _decode_png(file, white_level)

    def decode_jpeg() -> tf.Tensor:
        return _decode_jpeg(file)

    def decode_bmp() -> tf.Tensor:
        return _decode_bmp(file)

    def decode_gif() -> tf.Tensor:
        return _decode_gif(file)

    kind = tf.argmax([is_jpeg, is_png, is_bmp, is_gif], output_type=tf.int32)
    colours = tf.switch_case(kind, [decode_jpeg, decode_png, decode_bmp, decode_gif])
    if channels == 1:
        grey = tf.reduce_sum(tf.cast(colours, tf.int32) * tf.constant(LUMA), axis=-1, keepdims=True)
        colours = tf.cast((grey + 2**15) // 2**16, tf.uint8)
    return tf.ensure_shape(colours, (None, None, channels))


def _check(condition: tf.Tensor, message: str) -> tf.Operation:
    return tf.debugging.Assert(condition, [f"serve_files {message}"])


def _check_size(height: tf.Tensor, width: tf.Tensor) -> tf.Operation:
    pixels = tf.cast(height, tf.int64) * tf.cast(width, tf.int64)
    return _check((pixels > 0) & (pixels <= MAX_PIXELS), f"takes 1 to {MAX_PIXELS / 1e6:.0f} million pixels")


def _begins(file: tf.Tensor, magic: bytes) -> tf.Tensor:
    return tf.strings.substr(file, 0, len(magic)) == magic


def _number(data: tf.Tensor, at: tf.Tensor | int, size: int, *, little: bool = False) -> tf.Tensor:
    """The unsigned number in `size` bytes of uint8 (n,), int64."""
    shifts = [8 * i for i in range(size)] if little else [8 * i for i in reversed(range(size))]
    digits = tf.cast(data[at : at + size], tf.int64)
    return tf.reduce_sum(tf.bitwise.left_shift(digits, tf.constant(shifts, tf.int64)))


def _decode_jpeg(file: tf.Tensor) -> tf.Tensor:
    height, width, components = tf.unstack(tf.io.extract_jpeg_shape(file))
    cmyk = f"reads grey and colour JPEGs, not CMYK: {INSTEAD}"
    with tf.control_dependencies([_check(components < 4, cmyk), _check_size(height, width)]):
        pixels = tf.io.decode_jpeg(file, 3, dct_method="INTEGER_ACCURATE")

    def orientation() -> tf.Tensor:
        start, stop, end = _find_exif(file)
        exif = exif_orientation(tf.strings.substr(file, start, stop - start))
        xmp = xmp_orientation(tf.strings.split(tf.strings.substr(file, 0, end), ADOBE))
        return tf.where(exif > 0, exif, xmp)

    # A search for the marker of EXIF and XMP, which no pixels contain, takes a tenth of the time of reading the header.
    may_be_turned = tf.size(tf.strings.split(file, APP1, maxsplit=1)) > 1
    return turn(pixels, tf.cond(may_be_turned, orientation, lambda: tf.constant(1)))


def _find_exif(file: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Where EXIF begins and ends in a JPEG, 0 and 0 if nowhere, and where its header ends."""
    data = tf.io.decode_raw(file, tf.uint8)

    def in_header(at: tf.Tensor, start: tf.Tensor, stop: tf.Tensor) -> tf.Tensor:
        inside = at + 10 < tf.size(data)
        return inside & ~((data[tf.where(inside, at, 0)] == 0xFF) & (data[tf.where(inside, at + 1, 0)] == 0xDA))

    def next_segment(at: tf.Tensor, start: tf.Tensor, stop: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        marker = data[at + 1]
        is_marker = (data[at] == 0xFF) & (marker != 0xFF) & (marker != 0)
        has_length = is_marker & (marker != 1) & ((marker < 0xD0) | (marker > 0xD9))
        after = at + 2 + tf.cast(_number(data, at + 2, 2), tf.int32)
        is_exif = has_length & (marker == 0xE1) & (tf.strings.substr(file, at + 4, 6) == b"Exif\0\0") & (stop == 0)
        start = tf.where(is_exif, at + 10, start)
        stop = tf.where(is_exif, after, stop)
        step = tf.where(is_marker, 2, 1)
        return tf.where(has_length, after, at + step), start, stop

    end, start, stop = tf.while_loop(in_header, next_segment, [tf.constant(2), tf.constant(0), tf.constant(0)])
    return start, stop, tf.minimum(end, tf.size(data))


def _decode_png(file: tf.Tensor, white_level: int) -> tf.Tensor:
    data = tf.io.decode_raw(file, tf.uint8)
    with tf.control_dependencies([_check(tf.size(data) > 33, "was sent a PNG that is cut off")]):
        width = _number(data, 16, 4)
    height = _number(data, 20, 4)
    is_deep_grey = (data[24] == 16) & (data[25] == 0)
    chunks = _find_png_chunks(file, data)
    deep_key = (data[24] == 16) & (data[25] == 2) & (chunks["tRNS"] > 0)
    checks = [
        _check_size(height, width),
        _check(chunks["IEND"] > 0, "was sent a PNG that is cut off"),
        _check(chunks["frames"] <= 1, f"takes images of one frame, not an animated PNG: {INSTEAD}"),
        _check(~deep_key, f"does not read 16-bit colours of which one is transparent: {INSTEAD}"),
    ]
    with tf.control_dependencies(checks):
        file = tf.identity(file)

    def decode_deep_grey() -> tf.Tensor:
        samples = tf.cast(tf.io.decode_png(file, 1, tf.uint16), tf.int32)
        brightest = tf.reduce_max(samples)
        message = f"was sent 16-bit samples above {white_level}, which the training images of this run do not exceed"
        with tf.control_dependencies([_check(brightest <= white_level, message)]):
            scaled = tf.cast((tf.cast(samples, tf.int64) * 255 + white_level // 2) // white_level, tf.uint8)
        at = tf.maximum(chunks["tRNS"], 0)
        key = tf.where(chunks["tRNS"] > 0, tf.cast(_number(data, at, 2), tf.int32), -1)
        return tf.repeat(tf.where(samples == key, tf.constant(255, tf.uint8), scaled), 3, axis=-1)

    def decode_grey() -> tf.Tensor:  # which TensorFlow does not spread over 0 ... 255 if alpha is asked for
        return tf.repeat(tf.io.decode_png(file, 1), 3, axis=-1)

    def decode_colours() -> tf.Tensor:
        pixels = tf.cast(tf.io.decode_png(file, 4), tf.int32)
        alpha = pixels[..., 3:]
        return tf.cast((pixels[..., :3] * alpha + 255 * (255 - alpha) + 127) // 255, tf.uint8)

    is_grey = (data[25] == 0) & (chunks["tRNS"] == 0)
    kind = tf.where(is_deep_grey, 0, tf.where(is_grey, 1, 2))
    pixels = tf.switch_case(kind, [decode_deep_grey, decode_grey, decode_colours])
    return turn(pixels, _png_orientation(file, data, chunks))


def _find_png_chunks(file: tf.Tensor, data: tf.Tensor) -> dict[str, tf.Tensor]:
    """Where the contents of chunks begin, 0 if there is none, and the number of frames of an animation, int32."""
    names = ("at", "tRNS", "eXIf", "xmp", "raw", "frames", "IEND")

    def inside(*places: tf.Tensor) -> tf.Tensor:
        return (places[0] + 12 <= tf.size(data)) & (places[-1] == 0)

    def next_chunk(*places: tf.Tensor) -> list[tf.Tensor]:
        state = dict(zip(names, places, strict=True))
        at = state["at"]
        kind = tf.strings.substr(file, at + 4, 4)
        for name in ("tRNS", "eXIf", "IEND"):
            state[name] = tf.where(kind == name, at + 8, state[name])
        state["xmp"] = tf.where(tf.strings.substr(file, at + 4, 21) == b"iTXtXML:com.adobe.xmp", at + 8, state["xmp"])
        is_raw = tf.strings.substr(file, at + 8, 21) == b"Raw profile type exif"
        state["raw"] = tf.where(is_raw & (tf.strings.substr(file, at + 5, 3) != b"DAT"), at + 8, state["raw"])
        count = tf.cast(tf.minimum(_number(data, at + 8, 4), 2), tf.int32)
        state["frames"] = tf.where(kind == b"acTL", count, state["frames"])
        length = tf.minimum(_number(data, at, 4), 2**30)
        state["at"] = tf.cast(tf.minimum(tf.cast(at, tf.int64) + length + 12, 2**31 - 20), tf.int32)
        return [state[name] for name in names]

    start = [tf.constant(8), *(tf.constant(0) for _ in names[1:])]
    return dict(zip(names, tf.while_loop(inside, next_chunk, start), strict=True))


def _png_orientation(file: tf.Tensor, data: tf.Tensor, chunks: dict[str, tf.Tensor]) -> tf.Tensor:
    def content(name: str) -> tf.Tensor:
        at = chunks[name]
        length = tf.cast(_number(data, tf.maximum(at - 8, 0), 4), tf.int32)
        return tf.where(at > 0, tf.strings.substr(file, at, tf.where(at > 0, length, 0)), "")

    exif = exif_orientation(content("eXIf"))
    text = content("xmp")
    packed = tf.strings.substr(tf.strings.join([text, b"\0" * 19]), 18, 1) == b"\x01"
    hidden = (chunks["eXIf"] == 0) & ((chunks["raw"] > 0) | packed)
    message = f"cannot read the orientation in this PNG's compressed text: {INSTEAD}"
    with tf.control_dependencies([_check(~hidden, message)]):
        return tf.where(exif > 0, exif, xmp_orientation(tf.stack(["", text])))


def _decode_bmp(file: tf.Tensor) -> tf.Tensor:
    data = tf.io.decode_raw(file, tf.uint8)
    first, header, width, height = (tf.cast(_number(data, at, 4, little=True), tf.int32) for at in (10, 14, 18, 22))
    bits = tf.cast(_number(data, 28, 2, little=True), tf.int32)
    plain = tf.reduce_any(header == [40, 108, 124]) & tf.reduce_any(bits == [8, 24]) & (data[30] == 0)
    row = width * bits // 8
    stride = (row + 3) // 4 * 4
    rows = tf.abs(height)
    kinds = _check(plain & (width > 0), f"reads uncompressed BMPs of 8 and 24 bits: {INSTEAD}")
    with tf.control_dependencies([kinds]):
        rows = tf.identity(rows)
    with tf.control_dependencies([_check_size(rows, width)]):
        whole = tf.cast(first, tf.int64) + tf.cast(rows, tf.int64) * tf.cast(stride, tf.int64)
    complete = _check((first >= 54) & (tf.cast(tf.size(data), tf.int64) >= whole), "was sent a BMP that is cut off")
    with tf.control_dependencies([complete]):
        samples = tf.reshape(data[first : first + rows * stride], (rows, stride))[:, :row]
    samples = tf.cond(height > 0, lambda: tf.reverse(samples, [0]), lambda: samples)

    def palette() -> tf.Tensor:
        used = tf.cast(_number(data, 46, 4, little=True), tf.int32)
        begin = 14 + header
        colours = tf.reshape(data[begin : begin + 4 * tf.where(used > 0, used, 256)], (-1, 4))[:, 2::-1]
        darkest = _check(tf.reduce_max(tf.cast(samples, tf.int32)) < tf.shape(colours)[0], "was sent a damaged BMP")
        with tf.control_dependencies([darkest]):
            return tf.gather(colours, tf.cast(samples, tf.int32))

    return tf.cond(bits == 8, palette, lambda: tf.reshape(samples, (rows, width, 3))[..., ::-1])


def _decode_gif(file: tf.Tensor) -> tf.Tensor:
    data = tf.io.decode_raw(file, tf.uint8)
    width = _number(data, 6, 2, little=True)
    height = _number(data, 8, 2, little=True)
    flags = tf.cast(data[10], tf.int32)
    palette = tf.where(flags >= 128, 3 * tf.bitwise.left_shift(1, flags % 8 + 1), 0)

    def before_image(at: tf.Tensor, inside: tf.Tensor, see_through: tf.Tensor) -> tf.Tensor:
        here = data[tf.minimum(at, tf.size(data) - 1)]
        return (at + 10 < tf.size(data)) & (inside | (here == 0x21))

    def next_block(at: tf.Tensor, inside: tf.Tensor, see_through: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """An extension's label, or a block of its data, of which one of no length is the last."""
        control = ~inside & (data[at + 1] == 0xF9) & (data[at + 3] % 2 == 1)
        length = tf.cast(data[at], tf.int32)
        return tf.where(inside, at + 1 + length, at + 2), ~inside | (length > 0), see_through | control

    start = [13 + palette, tf.constant(False), tf.constant(False)]
    at, _, see_through = tf.while_loop(before_image, next_block, start)
    place = tf.pad(data, [[0, 10]])[at : at + 9]
    offset = _number(place, 1, 4)
    fills = (offset == 0) & (_number(place, 5, 2, little=True) == width) & (_number(place, 7, 2, little=True) == height)
    checks = [
        _check_size(height, width),
        _check(~see_through, f"does not read GIFs with a transparent colour: {INSTEAD}"),
        _check(fills, f"reads GIFs whose frame fills the image: {INSTEAD}"),
    ]
    with tf.control_dependencies(checks):
        frames = tf.io.decode_gif(file)
    one = _check(tf.shape(frames)[0] == 1, f"takes images of one frame, not an animated GIF: {INSTEAD}")
    with tf.control_dependencies([one]):
        return frames[0]
