"""What becomes of bad and odd image files: `python -m benchmarks.faults.image_files`.

Makes each kind, looks at it, and prints a table. The tests check the same kinds (`KINDS`), against the pixels that each
file was made of.
"""

from __future__ import annotations

import dataclasses
import io
import os
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from pipelines.readers import scan
from pipelines.readers.image_files import PILLOW, TF_IMAGE, TF_JPEG, Bad, Facts

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
    """A kind of file, how it is made, and what is to become of it."""

    name: str
    file: str
    make: Callable[[Path], object]
    decoder: int | None  # None: it cannot be used
    says: str  # the reason, or what is noted, ", " between
    pixels: np.ndarray | None = None  # what it shows: uint8 (h, w) or (h, w, 3)
    within: int = 0  # levels
    mask: bool = False


def encoded(pixels: np.ndarray | Image.Image, form: str, **options) -> bytes:
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


def png(scanlines: bytes, depth: int, colour: int, width: int = WIDTH, height: int = HEIGHT, interlaced=0) -> bytes:
    """A PNG file by hand (ISO/IEC 15948): of bit depths and sizes that Pillow does not write."""

    def chunk(name, content):
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced)
    chunks = chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(scanlines)), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


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


def paletted(index: np.ndarray) -> Image.Image:
    image = Image.fromarray(index)
    image.putpalette(COLOURS.tobytes())
    return image


def exif(orientation: int) -> Image.Exif:
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags


def frames(form: str) -> bytes:
    first, second = Image.fromarray(PHOTO), Image.fromarray(255 - PHOTO)
    return encoded(first, form, save_all=True, append_images=[second])


def os2(pixels: np.ndarray) -> bytes:
    """A BMP file with the short header, by hand: rows from the bottom, blue first, WIDTH a multiple of 4."""
    rows = pixels[::-1, :, ::-1].tobytes()
    return b"BM" + struct.pack("<IIIIHHHH", 26 + len(rows), 0, 26, 12, WIDTH, HEIGHT, 1, 24) + rows


def flipped(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 0xFF]) + data[place + 1 :]


def archive() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as file:
        file.writestr("photo.txt", "no photo")
    return stream.getvalue()


def bytes_of(content: bytes | Callable[[], bytes]) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(content() if callable(content) else content)


def sparse(path: Path) -> None:
    path.write_bytes(JPEG)
    os.truncate(path, scan.MAX_BYTES + 1)


def refused(name: str, file: str, content, says: str, **more) -> Kind:
    make = content if callable(content) else bytes_of(content)
    return Kind(name, file, make, None, says, **more)


def used(name: str, file: str, content: bytes, decoder: int, says: str, pixels: np.ndarray, within=0, **more) -> Kind:
    return Kind(name, file, bytes_of(content), decoder, says, pixels, within, **more)


JPEG = encoded(PHOTO, "JPEG", quality=95)
PROGRESSIVE = encoded(PHOTO, "JPEG", quality=95, progressive=True)
PNG = encoded(NOISE[..., :3], "PNG")
WEBP = encoded(NOISE[..., :3], "WEBP", lossless=True)
CMYK = Image.frombytes("CMYK", (WIDTH, HEIGHT), np.dstack([PHOTO, GREY // 3]).tobytes())
INK = np.dstack([PHOTO, GREY // 3]).astype(int)
LIGHT = np.rint((255 - INK[..., :3]) * (255 - INK[..., 3:]) / 255).astype(np.uint8)
MIDDLE = JPEG.index(b"\xff\xda") + 150  # in the compressed data

KINDS = [
    # What is no image, or not all of one
    refused("empty file", "a.jpg", b"", "empty: 0 bytes"),
    refused("text", "a.jpg", b"404 not found\n", "not an image: text"),
    refused("HTML page", "a.jpg", b"\n<!DOCTYPE html><html><body>404</body></html>", "not an image: an HTML page"),
    refused("SVG drawing", "a.svg", b'<svg xmlns="http://www.w3.org/2000/svg"/>', "not an image: an SVG drawing"),
    refused("ZIP archive", "a.png", archive(), "not an image: a ZIP archive"),
    refused("PDF", "a.jpg", b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "not an image: a PDF document"),
    refused("HEIC photograph", "a.heic", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic",
            "not an image: an AVIF, HEIC or video file"),
    refused("random bytes", "a.jpg", NOISE.tobytes()[:500], "not an image of a known format"),
    refused("JPEG, half of it", "a.jpg", JPEG[: len(JPEG) // 2], "truncated"),
    refused("JPEG without its end marker", "a.jpg", JPEG[:-2], "truncated"),
    refused("JPEG, the first 20 bytes", "a.jpg", JPEG[:20], "corrupt: begins as JPEG, but its header cannot be read"),
    refused("JPEG of height 0", "a.jpg", JPEG.replace(struct.pack(">HH", HEIGHT, WIDTH), b"\0\0\0\x24", 1),
            "corrupt: "),
    refused("JPEG of 12 bits", "a.jpg", JPEG.replace(b"\xff\xc0\0\x11\x08", b"\xff\xc0\0\x11\x0c", 1), "corrupt: "),
    refused("JPEG without its quantisation tables", "a.jpg", JPEG.replace(b"\xff\xdb", b"\xff\xe9"), "corrupt: "),
    refused("progressive JPEG, half of it", "a.jpg", PROGRESSIVE[: len(PROGRESSIVE) // 2], "truncated"),
    refused("PNG, half of it", "a.png", PNG[: len(PNG) // 2], "truncated"),
    refused("PNG without its last 2 bytes", "a.png", PNG[:-2], "truncated"),
    refused("PNG, one bit of its pixels wrong", "a.png", flipped(PNG, 900), "corrupt: "),
    refused("PNG, checksum of its pixels wrong", "a.png", flipped(PNG, len(PNG) - 14), "corrupt: "),
    refused("PNG, header wrong", "a.png", flipped(PNG, 18), "corrupt: "),
    refused("PNG, compressed data missing", "a.png", png(b"\0" * 20, 8, 2), "truncated"),
    refused("PNG of width 0", "a.png", png(b"\0", 8, 2, width=0), "corrupt: "),
    refused("GIF, half of it", "a.gif", lambda p: p.write_bytes(encoded(GREY, "GIF")[:-200]), "truncated"),
    refused("BMP, half of it", "a.bmp", encoded(PHOTO, "BMP")[:1000], "truncated"),
    refused("WebP, half of it", "a.webp", WEBP[: len(WEBP) // 2], "corrupt: "),
    refused("TIFF, half of it", "a.tif", encoded(PHOTO, "TIFF")[:1000], "truncated"),
    # What is more than one image, too much of one, or of other numbers
    refused("animated GIF", "a.gif", frames("GIF"), "2 frames or pages"),
    refused("animated PNG", "a.png", frames("PNG"), "2 frames or pages"),
    refused("animated WebP", "a.webp", frames("WEBP"), "2 frames or pages"),
    refused("TIFF of two pages", "a.tif", frames("TIFF"), "2 frames or pages"),
    refused("PNG that says 60000×60000", "a.png", png(b"\0", 8, 2, 60000, 60000), "3,600 million pixels; at most 89"),
    refused("PNG that says 12000×9000", "a.png", png(b"\0", 8, 2, 12000, 9000), "108 million pixels; at most 89"),
    refused("file of 257 MiB", "a.jpg", sparse, "a file of 256 MiB; at most 256 are read"),
    refused("floating-point TIFF", "a.tif", encoded(GREY.astype(np.float32), "TIFF"), "pixels of floating point"),
    refused("32-bit TIFF", "a.tif", encoded(GREY.astype(np.int32), "TIFF"), "pixels of Pillow mode I;"),
    refused("L*a*b* TIFF", "a.tif", encoded(Image.frombytes("LAB", (WIDTH, HEIGHT), PHOTO.tobytes()), "TIFF"), "LAB"),
    # What cannot be opened
    refused("link to nothing", "a.jpg", lambda path: path.symlink_to("gone.jpg"), "a link to a file that is not there"),
    refused("link to itself", "a.jpg", lambda path: path.symlink_to(path), "cannot be read: Too many levels"),
    refused("folder", "a.jpg", lambda path: path.mkdir(), "a folder"),
    refused("pipe", "a.jpg", lambda path: os.mkfifo(path), "not a regular file"),
    # What can be used as it is
    used("JPEG", "a.jpg", JPEG, TF_JPEG, "", PHOTO, LOSSY),
    used("grey JPEG", "a.JPG", encoded(GREY, "JPEG", quality=95), TF_JPEG, "", GREY, LOSSY),
    used("progressive JPEG", "a.jpeg", PROGRESSIVE, TF_JPEG, "", PHOTO, LOSSY),
    used("JPEG with bytes after its end", "a.jpg", JPEG + b"\0" * 99, TF_JPEG, "", PHOTO, LOSSY),
    used("JPEG without its Huffman tables", "a.jpg", JPEG.replace(b"\xff\xc4", b"\xff\xe9"), 0, "", PHOTO, LOSSY),
    used("JPEG with broken EXIF", "a.jpg", encoded(PHOTO, "JPEG", quality=95, exif=b"Exif\0\0MM\0*\xff\xff\0\0"), 0,
         "", PHOTO, LOSSY),
    used("two JPEGs in one (MPO)", "a.jpg", frames("MPO"), TF_JPEG, "", PHOTO, 30),
    Kind("JPEG, a byte of its middle wrong", "a.jpg", bytes_of(flipped(JPEG, MIDDLE)), TF_JPEG, ""),
    used("PNG", "a.png", PNG, TF_IMAGE, "", NOISE[..., :3]),
    used("grey PNG", "a.png", encoded(GREY, "PNG"), TF_IMAGE, "", GREY),
    used("interlaced PNG", "a.png", png(adam7(NOISE[..., :3]), 8, 2, interlaced=1), TF_IMAGE, "", NOISE[..., :3]),
    used("BMP", "a.bmp", encoded(NOISE[..., :3], "BMP"), TF_IMAGE, "", NOISE[..., :3]),
    # What is converted
    used("CMYK JPEG", "a.jpg", encoded(CMYK, "JPEG", quality=95), PILLOW, "CMYK", LIGHT, LOSSY),
    used("photograph on its side", "a.jpg", encoded(ORIENTED[8], "JPEG", quality=95, exif=exif(6)), PILLOW,
         "EXIF orientation", PHOTO, LOSSY),
    used("PNG with orientation", "a.png", encoded(PHOTO, "PNG", exif=exif(3)), PILLOW, "EXIF orientation",
         ORIENTED[3]),
    used("TIFF with orientation", "a.tif", encoded(PHOTO, "TIFF", exif=exif(6)), PILLOW,
         "EXIF orientation, TIFF", ORIENTED[6]),
    used("PNG named .jpg", "a.jpg", PNG, TF_IMAGE, "extension of another format", NOISE[..., :3]),
    used("JPEG named .png", "a.png", JPEG, TF_JPEG, "extension of another format", PHOTO, LOSSY),
    used("PNG of 1 bit", "a.png", encoded(BITS, "PNG"), TF_IMAGE, "1 bit", BITS * np.uint8(255)),
    used("grey PNG of 2 bits", "a.png", png(scanlines(GREY // 64, 2), 2, 0), TF_IMAGE, "", GREY // 64 * 85),
    used("grey PNG of 4 bits", "a.png", png(scanlines(GREY // 16, 4), 4, 0), TF_IMAGE, "", GREY // 16 * 17),
    used("grey PNG of 16 bits", "a.png", png(scanlines(DEEP[..., 0], 16), 16, 0), PILLOW, "16 bits",
         np.rint(DEEP[..., 0] / 257).astype(np.uint8)),
    used("PNG of 16 bits", "a.png", png(scanlines(DEEP, 16), 16, 2), TF_IMAGE, "16 bits",
         (DEEP >> 8).astype(np.uint8)),
    used("grey TIFF of 16 bits", "a.tif", encoded(DEEP[..., 0], "TIFF"), PILLOW, "TIFF, 16 bits",
         np.rint(DEEP[..., 0] / 257).astype(np.uint8)),
    used("grey PGM of 16 bits", "a.pgm", b"P5 36 24 65535\n" + DEEP[..., 0].astype(">u2").tobytes(), PILLOW,
         "PPM, 16 bits", np.rint(DEEP[..., 0] / 257).astype(np.uint8)),
    used("palette PNG", "a.png", encoded(paletted(NOISE[..., 0]), "PNG"), TF_IMAGE, "palette",
         COLOURS[NOISE[..., 0]]),
    used("palette PNG with transparency", "a.png",
         encoded(paletted(NOISE[..., 0]), "PNG", transparency=bytes(range(256))), TF_IMAGE, "palette",
         COLOURS[NOISE[..., 0]]),
    used("PNG with alpha", "a.png", encoded(NOISE, "PNG"), TF_IMAGE, "alpha", NOISE[..., :3]),
    used("grey PNG with alpha", "a.png", png(scanlines(NOISE[..., :2]), 8, 4), TF_IMAGE, "alpha", NOISE[..., 0]),
    used("PNG with a transparent colour", "a.png", encoded(NOISE[..., :3], "PNG", transparency=(1, 2, 3)),
         TF_IMAGE, "", NOISE[..., :3]),
    used("BMP with bytes after its end", "a.bmp", encoded(PHOTO, "BMP") + b"\0\0", PILLOW, "", PHOTO),
    used("BMP of OS/2", "a.bmp", os2(PHOTO), PILLOW, "", PHOTO),
    used("palette BMP", "a.bmp", encoded(paletted(NOISE[..., 0]), "BMP"), PILLOW, "palette",
         COLOURS[NOISE[..., 0]]),
    used("grey BMP", "a.bmp", encoded(GREY, "BMP"), PILLOW, "", GREY),
    used("still GIF", "a.gif", encoded(paletted(NOISE[..., 0]), "GIF"), PILLOW, "GIF, palette",
         COLOURS[NOISE[..., 0]]),
    used("WebP", "a.webp", WEBP, PILLOW, "WEBP", NOISE[..., :3]),
    used("TIFF", "a.tiff", encoded(NOISE[..., :3], "TIFF", compression="tiff_lzw"), PILLOW, "TIFF",
         NOISE[..., :3]),
    used("CMYK TIFF", "a.tif", encoded(CMYK, "TIFF"), PILLOW, "TIFF, CMYK", LIGHT, 1),
    used("PPM", "a.ppm", encoded(NOISE[..., :3], "PPM"), PILLOW, "PPM", NOISE[..., :3]),
    # Masks
    used("grey mask", "a.png", encoded(CLASSES, "PNG"), TF_IMAGE, "", CLASSES, mask=True),
    used("palette mask", "a.png", encoded(paletted(CLASSES), "PNG"), PILLOW, "palette", CLASSES, mask=True),
    used("mask of 1 bit", "a.png", encoded(CLASSES > 3, "PNG"), PILLOW, "1 bit", CLASSES // 4, mask=True),
    used("mask of 2 bits", "a.png", png(scanlines(CLASSES // 2, 2), 2, 0), PILLOW, "", CLASSES // 2, mask=True),
    used("mask of 4 bits", "a.png", png(scanlines(CLASSES, 4), 4, 0), PILLOW, "", CLASSES, mask=True),
    used("mask of 16 bits", "a.png", encoded(CLASSES.astype(np.uint16), "PNG"), PILLOW, "16 bits", CLASSES,
         mask=True),
    used("BMP mask", "a.bmp", encoded(CLASSES, "BMP"), PILLOW, "", CLASSES, mask=True),
    refused("mask with class 300", "a.png", encoded(CLASSES.astype(np.uint16) + 293, "PNG"),
            "class number 300 in a mask", mask=True),
    refused("mask in colours", "a.png", PNG, "a mask has one channel of class numbers", mask=True),
    refused("JPEG mask", "a.jpg", encoded(CLASSES, "JPEG"), "a JPEG, whose compression changes class numbers",
            mask=True),
    refused("mask of fractions", "a.tif", encoded(CLASSES.astype(np.float32), "TIFF"), "pixels of floating point",
            mask=True),
]  # fmt: skip


def outcome(kind: Kind, folder: Path) -> Facts | Bad:
    """Make a file of this kind in an empty folder and look at it."""
    path = folder / kind.file
    kind.make(path)
    return scan.scan([str(path)], str(folder), str(folder / "cache"), masks=kind.mask)[0]


def main() -> None:
    decoders = {
        TF_JPEG: "used: decode_jpeg",
        TF_IMAGE: "used: decode_image",
        PILLOW: "used: Pillow",
    }
    print("| kind | outcome | message |\n|---|---|---|")
    for kind in KINDS:
        with tempfile.TemporaryDirectory() as folder:
            found = outcome(kind, Path(folder))
        if isinstance(found, Bad):
            print(f"| {kind.name} | left out | {found.reason} |")
        else:
            print(f"| {kind.name} | {decoders[found.decoder]} | {', '.join(found.notes)} |")


if __name__ == "__main__":
    main()
