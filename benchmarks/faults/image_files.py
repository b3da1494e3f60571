"""What becomes of bad and odd image files: `python -m benchmarks.faults.image_files`.

Makes each kind, examines it, and prints a table. The tests check the same kinds (`KINDS`) against the pixels that each
file was made of. `--doors` reads each through every door of a run and compares the pixels (`benchmarks.faults.doors`).
"""

from __future__ import annotations

import argparse
import dataclasses
import io
import os
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pipelines.errors import BadFile
from pipelines.readers import scan
from pipelines.readers.image_files import PILLOW, TF_IMAGE, TF_JPEG, ImageFile

HEIGHT, WIDTH = 24, 36
y, x = np.mgrid[:HEIGHT, :WIDTH]
PHOTO = np.stack([4 * x + 3 * y, 255 - 5 * x, 60 + 5 * y], -1).astype(np.uint8)  # smooth: JPEG changes it little
GREY = PHOTO[..., 0]
NOISE = np.random.RandomState(0).randint(0, 256, (HEIGHT, WIDTH, 4)).astype(np.uint8)
DEEP = np.random.RandomState(1).randint(0, 65536, (HEIGHT, WIDTH, 3)).astype(np.uint16)
BITS = GREY > 100
COLOURS = np.random.RandomState(2).randint(0, 256, (256, 3)).astype(np.uint8)
CLASSES = ((x // 9) + 4 * (y // 12)).astype(np.uint8)  # 0 ... 7
LOSSY = 10  # levels by which a JPEG of PHOTO may differ from it
ORIENTED = {  # the upright array made as the EXIF tag's value says
    1: PHOTO,
    2: PHOTO[:, ::-1],
    3: PHOTO[::-1, ::-1],
    4: PHOTO[::-1],
    5: PHOTO.swapaxes(0, 1),
    6: np.rot90(PHOTO, -1),
    7: PHOTO[::-1, ::-1].swapaxes(0, 1),
    8: np.rot90(PHOTO),
}


@dataclasses.dataclass(frozen=True)
class Kind:
    """A kind of file, how it is made, and the expected result of examining it."""

    name: str
    file: str
    make: Callable[[Path], object]
    decoder: int | None  # None: it cannot be used
    message: str  # the reason, or the notes joined by ", "
    pixels: np.ndarray | None = None  # what it shows: uint8 (h, w) or (h, w, 3)
    tolerance: int = 0  # grey levels
    mask: bool = False


def encode(pixels: np.ndarray | Image.Image, form: str, **options: Any) -> bytes:
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


def png(
    scanlines: bytes,
    depth: int,
    colour: int,
    width: int = WIDTH,
    height: int = HEIGHT,
    *,
    interlaced: int = 0,
    key: bytes = b"",
) -> bytes:
    """A PNG file by hand (ISO/IEC 15948), of bit depths and sizes that Pillow does not write."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced)
    pixels = chunk(b"IDAT", zlib.compress(scanlines)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + (chunk(b"tRNS", key) if key else b"") + pixels


def scanlines(samples: np.ndarray, depth: int = 8) -> bytes:
    """Rows of samples (h, w) or (h, w, channels), unfiltered, packed to `depth` bits each."""
    rows = samples.reshape(len(samples), -1)
    if depth == 16:
        return b"".join(b"\0" + row.astype(">u2").tobytes() for row in rows)
    bits = np.unpackbits(rows.astype(np.uint8)[..., None], axis=-1)[..., 8 - depth :]
    return b"".join(b"\0" + np.packbits(row).tobytes() for row in bits.reshape(len(rows), -1))


def adam7(samples: np.ndarray) -> bytes:
    """The scanlines of an interlaced PNG: seven images, each of some of the pixels."""
    passes = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
    return b"".join(scanlines(samples[top::down, left::right]) for top, left, down, right in passes)


def palette(index: np.ndarray) -> Image.Image:
    image = Image.fromarray(index)
    image.putpalette(COLOURS.tobytes())
    return image


def over_white(pixels: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    share = alpha[..., None] / 255
    return np.rint(pixels * share + 255 * (1 - share)).astype(np.uint8)


def exif(orientation: int) -> Image.Exif:
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags


def frames(form: str) -> bytes:
    return encode(Image.fromarray(PHOTO), form, save_all=True, append_images=[Image.fromarray(255 - PHOTO)])


def os2(pixels: np.ndarray) -> bytes:
    """A BMP file with the short header, by hand: rows from the bottom, blue first, WIDTH a multiple of 4."""
    rows = pixels[::-1, :, ::-1].tobytes()
    return b"BM" + struct.pack("<IIIIHHHH", 26 + len(rows), 0, 26, 12, WIDTH, HEIGHT, 1, 24) + rows


def flip_byte(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 0xFF]) + data[place + 1 :]


def archive() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as file:
        file.writestr("photo.txt", "no photo")
    return stream.getvalue()


def writer_of(content: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(content)


def sparse(path: Path) -> None:
    path.write_bytes(JPEG)
    os.truncate(path, scan.MAX_BYTES + 1)


def unusable(
    name: str, file: str, content: bytes | Callable[[Path], object], message: str, *, mask: bool = False
) -> Kind:
    make = content if callable(content) else writer_of(content)
    return Kind(name, file, make, None, message, mask=mask)


def usable(
    name: str,
    file: str,
    content: bytes,
    decoder: int,
    message: str,
    pixels: np.ndarray,
    tolerance: int = 0,
    *,
    mask: bool = False,
) -> Kind:
    return Kind(name, file, writer_of(content), decoder, message, pixels, tolerance, mask)


JPEG = encode(PHOTO, "JPEG", quality=95)
PROGRESSIVE = encode(PHOTO, "JPEG", quality=95, progressive=True)
PNG = encode(NOISE[..., :3], "PNG")
WEBP = encode(NOISE[..., :3], "WEBP", lossless=True)
CMYK = Image.frombytes("CMYK", (WIDTH, HEIGHT), np.dstack([PHOTO, GREY // 3]).tobytes())
INK = np.dstack([PHOTO, GREY // 3]).astype(int)
LIGHT = np.rint((255 - INK[..., :3]) * (255 - INK[..., 3:]) / 255).astype(np.uint8)
MIDDLE = JPEG.index(b"\xff\xda") + 150  # in the compressed data

KINDS = [
    # What is no image, or not all of one
    unusable("empty file", "a.jpg", b"", "empty: 0 bytes"),
    unusable("text", "a.jpg", b"404 not found\n", "not an image: text"),
    unusable("HTML page", "a.jpg", b"\n<!DOCTYPE html><html><body>404</body></html>", "not an image: an HTML page"),
    unusable("SVG drawing", "a.svg", b'<svg xmlns="http://www.w3.org/2000/svg"/>', "not an image: an SVG drawing"),
    unusable("ZIP archive", "a.png", archive(), "not an image: a ZIP archive"),
    unusable("PDF", "a.jpg", b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "not an image: a PDF document"),
    unusable("HEIC photograph", "a.heic", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic",
             "not an image: an AVIF, HEIC or video file"),
    unusable("random bytes", "a.jpg", NOISE.tobytes()[:500], "not an image of a known format"),
    unusable("JPEG, half of it", "a.jpg", JPEG[: len(JPEG) // 2], "truncated"),
    unusable("JPEG without its end marker", "a.jpg", JPEG[:-2], "truncated"),
    unusable("JPEG, the first 20 bytes", "a.jpg", JPEG[:20], "corrupt: begins as JPEG, but its header cannot be read"),
    unusable("JPEG of height 0", "a.jpg", JPEG.replace(struct.pack(">HH", HEIGHT, WIDTH), b"\0\0\0\x24", 1),
             "corrupt: "),
    unusable("JPEG of 12 bits", "a.jpg", JPEG.replace(b"\xff\xc0\0\x11\x08", b"\xff\xc0\0\x11\x0c", 1), "corrupt: "),
    unusable("JPEG without its quantisation tables", "a.jpg", JPEG.replace(b"\xff\xdb", b"\xff\xe9"), "corrupt: "),
    unusable("progressive JPEG, half of it", "a.jpg", PROGRESSIVE[: len(PROGRESSIVE) // 2], "truncated"),
    unusable("PNG, half of it", "a.png", PNG[: len(PNG) // 2], "truncated"),
    unusable("PNG without its last 2 bytes", "a.png", PNG[:-2], "truncated"),
    unusable("PNG, one bit of its pixels wrong", "a.png", flip_byte(PNG, 900), "corrupt: "),
    unusable("PNG, checksum of its pixels wrong", "a.png", flip_byte(PNG, len(PNG) - 14), "corrupt: "),
    unusable("PNG, header wrong", "a.png", flip_byte(PNG, 18), "corrupt: "),
    unusable("PNG, compressed data missing", "a.png", png(b"\0" * 20, 8, 2), "truncated"),
    unusable("PNG of width 0", "a.png", png(b"\0", 8, 2, width=0), "corrupt: "),
    unusable("GIF, half of it", "a.gif", lambda p: p.write_bytes(encode(GREY, "GIF")[:-200]), "truncated"),
    unusable("BMP, half of it", "a.bmp", encode(PHOTO, "BMP")[:1000], "truncated"),
    unusable("WebP, half of it", "a.webp", WEBP[: len(WEBP) // 2], "corrupt: "),
    unusable("TIFF, half of it", "a.tif", encode(PHOTO, "TIFF")[:1000], "truncated"),
    unusable("EPS named .png", "a.png", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n(x) print\n%%EOF\n",
             "not an image: text"),
    # What is more than one image, too much of one, or of other numbers
    unusable("animated GIF", "a.gif", frames("GIF"), "2 frames or pages"),
    unusable("animated PNG", "a.png", frames("PNG"), "2 frames or pages"),
    unusable("animated WebP", "a.webp", frames("WEBP"), "2 frames or pages"),
    unusable("TIFF of two pages", "a.tif", frames("TIFF"), "2 frames or pages"),
    unusable("PNG that says 60000×60000", "a.png", png(b"\0", 8, 2, 60000, 60000), "3,600 million pixels; at most 89"),
    unusable("PNG that says 12000×9000", "a.png", png(b"\0", 8, 2, 12000, 9000), "108 million pixels; at most 89"),
    unusable("file of 257 MiB", "a.jpg", sparse, "a file of 256 MiB; at most 256 are read"),
    unusable("floating-point TIFF", "a.tif", encode(GREY.astype(np.float32), "TIFF"), "pixels of floating point"),
    unusable("32-bit TIFF", "a.tif", encode(GREY.astype(np.int32), "TIFF"), "pixels of Pillow mode I;"),
    unusable("L*a*b* TIFF", "a.tif", encode(Image.frombytes("LAB", (WIDTH, HEIGHT), PHOTO.tobytes()), "TIFF"), "LAB"),
    # What cannot be opened
    unusable("link to nothing", "a.jpg", lambda path: path.symlink_to("gone.jpg"),
             "a link to a file that is not there"),
    unusable("link to itself", "a.jpg", lambda path: path.symlink_to(path), "cannot be read: Too many levels"),
    unusable("folder", "a.jpg", lambda path: path.mkdir(), "a folder"),
    unusable("pipe", "a.jpg", lambda path: os.mkfifo(path), "not a regular file"),
    # What can be used as it is
    usable("JPEG", "a.jpg", JPEG, TF_JPEG, "", PHOTO, LOSSY),
    usable("grey JPEG", "a.JPG", encode(GREY, "JPEG", quality=95), TF_JPEG, "", GREY, LOSSY),
    usable("progressive JPEG", "a.jpeg", PROGRESSIVE, TF_JPEG, "", PHOTO, LOSSY),
    usable("JPEG with bytes after its end", "a.jpg", JPEG + b"\0" * 99, TF_JPEG, "", PHOTO, LOSSY),
    usable("JPEG without its Huffman tables", "a.jpg", JPEG.replace(b"\xff\xc4", b"\xff\xe9"), 0, "", PHOTO, LOSSY),
    usable("JPEG with broken EXIF", "a.jpg", encode(PHOTO, "JPEG", quality=95, exif=b"Exif\0\0MM\0*\xff\xff\0\0"), 0,
           "", PHOTO, LOSSY),
    usable("two JPEGs in one (MPO)", "a.jpg", frames("MPO"), TF_JPEG, "", PHOTO, 30),
    Kind("JPEG, a byte of its middle wrong", "a.jpg", writer_of(flip_byte(JPEG, MIDDLE)), TF_JPEG, ""),
    usable("PNG", "a.png", PNG, TF_IMAGE, "", NOISE[..., :3]),
    usable("grey PNG", "a.png", encode(GREY, "PNG"), TF_IMAGE, "", GREY),
    usable("interlaced PNG", "a.png", png(adam7(NOISE[..., :3]), 8, 2, interlaced=1), TF_IMAGE, "", NOISE[..., :3]),
    usable("BMP", "a.bmp", encode(NOISE[..., :3], "BMP"), TF_IMAGE, "", NOISE[..., :3]),
    # What is converted
    usable("CMYK JPEG", "a.jpg", encode(CMYK, "JPEG", quality=95), PILLOW, "CMYK", LIGHT, LOSSY),
    usable("photograph on its side", "a.jpg", encode(ORIENTED[8], "JPEG", quality=95, exif=exif(6)), PILLOW,
           "EXIF orientation", PHOTO, LOSSY),
    usable("PNG with orientation", "a.png", encode(PHOTO, "PNG", exif=exif(3)), PILLOW, "EXIF orientation",
           ORIENTED[3]),
    usable("TIFF with orientation", "a.tif", encode(PHOTO, "TIFF", exif=exif(6)), PILLOW,
           "EXIF orientation, TIFF", ORIENTED[6]),
    usable("PNG named .jpg", "a.jpg", PNG, TF_IMAGE, "extension of another format", NOISE[..., :3]),
    usable("JPEG named .png", "a.png", JPEG, TF_JPEG, "extension of another format", PHOTO, LOSSY),
    usable("PNG of 1 bit", "a.png", encode(BITS, "PNG"), TF_IMAGE, "1 bit", BITS * np.uint8(255)),
    usable("grey PNG of 2 bits", "a.png", png(scanlines(GREY // 64, 2), 2, 0), TF_IMAGE, "", GREY // 64 * 85),
    usable("grey PNG of 4 bits", "a.png", png(scanlines(GREY // 16, 4), 4, 0), TF_IMAGE, "", GREY // 16 * 17),
    usable("grey PNG of 16 bits", "a.png", png(scanlines(DEEP[..., 0], 16), 16, 0), PILLOW, "16 bits",
           np.rint(DEEP[..., 0] / 257).astype(np.uint8)),
    usable("PNG of 16 bits", "a.png", png(scanlines(DEEP, 16), 16, 2), TF_IMAGE, "16 bits",
           (DEEP >> 8).astype(np.uint8)),
    usable("grey PNG of 12 in 16 bits", "a.png", png(scanlines(DEEP[..., 0] >> 4, 16), 16, 0), PILLOW, "16 bits",
           np.rint((DEEP[..., 0] >> 4) / 4095 * 255).astype(np.uint8)),
    usable("PNG of 12 in 16 bits", "a.png", png(scanlines(DEEP >> 4, 16), 16, 2), TF_IMAGE,
           "16 bits, 16-bit colour in fewer than 64 levels", (DEEP >> 12).astype(np.uint8)),
    usable("grey TIFF of 16 bits", "a.tif", encode(DEEP[..., 0], "TIFF"), PILLOW, "TIFF, 16 bits",
           np.rint(DEEP[..., 0] / 257).astype(np.uint8)),
    usable("grey PGM of 16 bits", "a.pgm", b"P5 36 24 65535\n" + DEEP[..., 0].astype(">u2").tobytes(), PILLOW,
           "PPM, 16 bits", np.rint(DEEP[..., 0] / 257).astype(np.uint8)),
    usable("palette PNG", "a.png", encode(palette(NOISE[..., 0]), "PNG"), TF_IMAGE, "palette",
           COLOURS[NOISE[..., 0]]),
    usable("palette PNG with transparency", "a.png",
           encode(palette(NOISE[..., 0]), "PNG", transparency=bytes(range(256))), PILLOW,
           "palette, alpha over white", over_white(COLOURS[NOISE[..., 0]], NOISE[..., 0])),
    usable("PNG with alpha", "a.png", encode(NOISE, "PNG"), PILLOW, "alpha over white",
           over_white(NOISE[..., :3], NOISE[..., 3])),
    usable("PNG with opaque alpha", "a.png", encode(np.dstack([PHOTO, GREY | 255]), "PNG"), TF_IMAGE, "", PHOTO),
    usable("grey PNG with alpha", "a.png", png(scanlines(NOISE[..., :2]), 8, 4), PILLOW, "alpha over white",
           over_white(NOISE[..., :1], NOISE[..., 1])[..., 0]),
    usable("PNG with a transparent colour", "a.png", encode(NOISE[..., :3], "PNG", transparency=(*NOISE[5, 5, :3],)),
           PILLOW, "alpha over white", np.where((NOISE[..., :3] == NOISE[5, 5, :3]).all(-1)[..., None], 255,
                                                NOISE[..., :3]).astype(np.uint8)),
    usable("grey PNG of 2 bits with a transparent grey", "a.png",
           png(scanlines(GREY // 64, 2), 2, 0, key=struct.pack(">H", 1)), PILLOW, "alpha over white",
           np.where(GREY // 64 == 1, 255, GREY // 64 * 85).astype(np.uint8)),
    usable("grey PNG of 16 bits with a transparent grey", "a.png",
           png(scanlines(DEEP[..., 0], 16), 16, 0, key=struct.pack(">H", DEEP[5, 5, 0])), PILLOW,
           "alpha over white, 16 bits",
           np.where(DEEP[..., 0] == DEEP[5, 5, 0], 255, np.rint(DEEP[..., 0] / 257)).astype(np.uint8)),
    unusable("PNG of 16 bits with a transparent colour", "a.png",
             png(scanlines(DEEP, 16), 16, 2, key=struct.pack(">HHH", *DEEP[5, 5])), "16-bit colours of which one is"),
    usable("BMP with bytes after its end", "a.bmp", encode(PHOTO, "BMP") + b"\0\0", PILLOW, "", PHOTO),
    usable("BMP of OS/2", "a.bmp", os2(PHOTO), PILLOW, "", PHOTO),
    usable("palette BMP", "a.bmp", encode(palette(NOISE[..., 0]), "BMP"), PILLOW, "palette",
           COLOURS[NOISE[..., 0]]),
    usable("grey BMP", "a.bmp", encode(GREY, "BMP"), PILLOW, "", GREY),
    usable("still GIF", "a.gif", encode(palette(NOISE[..., 0]), "GIF"), PILLOW, "GIF, palette",
           COLOURS[NOISE[..., 0]]),
    usable("WebP", "a.webp", WEBP, PILLOW, "WEBP", NOISE[..., :3]),
    usable("TIFF", "a.tiff", encode(NOISE[..., :3], "TIFF", compression="tiff_lzw"), PILLOW, "TIFF",
           NOISE[..., :3]),
    usable("CMYK TIFF", "a.tif", encode(CMYK, "TIFF"), PILLOW, "TIFF, CMYK", LIGHT, 1),
    usable("PPM", "a.ppm", encode(NOISE[..., :3], "PPM"), PILLOW, "PPM", NOISE[..., :3]),
    # Masks
    usable("grey mask", "a.png", encode(CLASSES, "PNG"), TF_IMAGE, "", CLASSES, mask=True),
    usable("palette mask", "a.png", encode(palette(CLASSES), "PNG"), PILLOW, "palette", CLASSES, mask=True),
    usable("mask of 1 bit", "a.png", encode(CLASSES > 3, "PNG"), PILLOW, "1 bit", CLASSES // 4, mask=True),
    usable("mask of 2 bits", "a.png", png(scanlines(CLASSES // 2, 2), 2, 0), PILLOW, "", CLASSES // 2, mask=True),
    usable("mask of 4 bits", "a.png", png(scanlines(CLASSES, 4), 4, 0), PILLOW, "", CLASSES, mask=True),
    usable("mask of 16 bits", "a.png", encode(CLASSES.astype(np.uint16), "PNG"), PILLOW, "16 bits", CLASSES,
           mask=True),
    usable("BMP mask", "a.bmp", encode(CLASSES, "BMP"), PILLOW, "", CLASSES, mask=True),
    unusable("mask with class 300", "a.png", encode(CLASSES.astype(np.uint16) + 293, "PNG"),
             "class number 300 in a mask", mask=True),
    unusable("mask in colours", "a.png", PNG, "a mask has one channel of class numbers", mask=True),
    unusable("JPEG mask", "a.jpg", encode(CLASSES, "JPEG"), "a JPEG, whose compression changes class numbers",
             mask=True),
    unusable("mask of fractions", "a.tif", encode(CLASSES.astype(np.float32), "TIFF"), "pixels of floating point",
             mask=True),
]  # fmt: skip


def examine_kind(kind: Kind, folder: Path) -> ImageFile | BadFile:
    """Make a file of this kind in an empty folder and examine it."""
    path = folder / kind.file
    kind.make(path)
    return scan.scan_files([str(path)], str(folder), str(folder / "cache"), masks=kind.mask)[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--doors", action="store_true", help="read each kind through every door of a run")
    if parser.parse_args().doors:
        from benchmarks.faults import doors

        return doors.main()
    decoders = {TF_JPEG: "used: decode_jpeg", TF_IMAGE: "used: decode_image", PILLOW: "used: Pillow"}
    print("| kind | outcome | message |\n|---|---|---|")
    for kind in KINDS:
        with tempfile.TemporaryDirectory() as folder:
            result = examine_kind(kind, Path(folder))
        if isinstance(result, BadFile):
            print(f"| {kind.name} | left out | {result.reason} |")
        else:
            print(f"| {kind.name} | {decoders[result.decoder]} | {', '.join(result.notes)} |")


if __name__ == "__main__":
    main()
