"""Images with masks in folders: where the two lie, and which image has which mask.

    root/IMAGES/**.jpg + root/MASKS/**.png          IMAGES: images, imgs, image, JPEGImages ..., in any case;
    root/SPLIT/IMAGES + root/SPLIT/MASKS            MASKS: masks, labels, annotations, SegmentationClass ...
    root/IMAGES/SPLIT + root/MASKS/SPLIT
    root/SPLIT + root/SPLIT_MASKS                   train + train_labels, train_images + train_masks

A pair has one name, apart from the extension. SegmentationClass may cover a part of its images, as PASCAL VOC's does:
ImageSets/Segmentation/{train,val}.txt name the examples of each split, or all pairs are used.
"""

from __future__ import annotations

import collections
import os
from pathlib import Path

from PIL import Image

from pipelines.errors import BadData
from pipelines.readers import image_files, tree, voc_lists
from pipelines.readers.tree import Example

Places = dict[str, tuple[Path, Path]]  # for each split the folder of the images and that of the masks
EXPECTED = "segmentation is read from images/ and masks/"
ONE_CHANNEL = ("1", "L", "P", "I", "I;16", "I;16B")


def find_pairs(root: Path, splits: dict[str, Path], notes: collections.Counter[str]) -> list[Example]:
    """The images of a folder with their masks; none where it holds no such pair of folders.

    Args:
        root: the data set.
        splits: the folder of each split, if the folders of `root` are those of splits.
        notes: counts the files that are left alone.

    Raises:
        BadData: images and masks do not pair, or the folders may be those of classes or of masks.
    """
    if splits:
        places = _places_in_splits(splits)
        if places:
            notes["outside the split folders"] += len(tree.images(root, deep=False))
        return _pair_all(root, places, notes)
    joined = _places_by_joined_names(root)
    if joined:
        return _pair_all(root, joined, notes)
    pair = _find_two_folders(root)
    if pair is None:
        _refuse_masks_as_classes(root)
        return []
    lists = root / "ImageSets" / "Segmentation"
    if tree.plain(pair[1].name) == tree.VOC_MASKS and lists.is_dir():
        return _pair_by_lists(root, pair, lists, notes)
    inner = {tree.meaning(folder).split: folder for folder in tree.folders(pair[0])}
    if inner and None not in inner and len(inner) == len(tree.folders(pair[0])):
        notes["outside the split folders"] += len(tree.images(pair[0], deep=False))
        places = {str(split): (pair[0] / folder, pair[1] / folder) for split, folder in inner.items()}
        _check_train(root, places)
        return _pair_all(root, places, notes)
    return _pair_all(root, {"train": pair}, notes)


def _places_in_splits(splits: dict[str, Path]) -> Places:
    """root/SPLIT/IMAGES + root/SPLIT/MASKS; nothing where no split holds both."""
    pairs = {split: _find_two_folders(folder) for split, folder in splits.items()}
    first = next((pair for pair in pairs.values() if pair is not None), None)
    if first is None:
        return {}
    names = [folder.name for folder in first]
    return {
        split: pairs[split] or (folder / names[0], folder / names[1])  # the latter is refused: a folder is missing
        for split, folder in splits.items()
    }


def _places_by_joined_names(root: Path) -> Places:
    """root/SPLIT + root/SPLIT_MASKS; nothing where there are no such names."""
    meanings = {folder: tree.meaning(folder) for folder in tree.folders(root)}
    masks = {
        str(meaning.split): root / folder
        for folder, meaning in meanings.items()
        if meaning.split and meaning.role == "masks"
    }
    if not any(tree.images(folder) for folder in masks.values()):
        return {}
    images = {
        str(meaning.split): root / folder
        for folder, meaning in meanings.items()
        if meaning.split and meaning.role != "masks"
    }
    places = {split: (images.get(split, root / split), folder) for split, folder in masks.items()}
    _check_train(root, places)
    return places


def _check_train(root: Path, places: Places) -> None:
    if "train" not in places:
        raise BadData(f"'{root}' holds masks of {', '.join(places)}, but none of train (--dataset)")


def _find_two_folders(place: Path) -> tuple[Path, Path] | None:
    """The folders of the images and of the masks in a folder; None if there are no two of such names."""
    folders = tree.folders(place)
    meanings = {folder: tree.meaning(folder) for folder in folders}
    images = [folder for folder, meaning in meanings.items() if meaning == (None, "images")]
    masks = [folder for folder, meaning in meanings.items() if meaning == (None, "masks")]
    if [folder.lower() for folder in folders] == ["x", "y"] and _hold_same_names(place, *folders):
        first, second = (_mode(tree.images(place / folder)[0]) for folder in folders)
        if first not in ONE_CHANNEL and second in ONE_CHANNEL:  # else x and y are classes: letters, perhaps
            return place / folders[0], place / folders[1]
    if not images or not masks:
        return None
    if "masks" not in masks:
        filled = [folder for folder in masks if tree.images(place / folder)]
        if not filled:
            raise BadData(
                f"'{place / masks[0]}' holds no image: masks are images of class numbers; {EXPECTED} (--dataset)"
            )
        masks = filled
    return place / _choose(images, "images", place), place / _choose(masks, "masks", place)


def _choose(names: list[str], usual: str, place: Path) -> str:
    """The folder of the usual name, or the only one. Raises BadData."""
    first = [name for name in names if tree.plain(name) in (usual, tree.VOC_MASKS)]
    if len(first) == 1 or len(names) == 1:
        return (first or names)[0]
    raise BadData(f"'{place}' holds {', '.join(names)}, one too many: {EXPECTED} (--dataset)")


def _refuse_masks_as_classes(root: Path) -> None:
    """Raise if two folders hold files of the same names, and one of them is named, and looks, like masks or images."""
    folders = tree.folders(root)
    if len(folders) != 2:
        return
    roles = [tree.meaning(folder).role for folder in folders]
    if not any(roles) or not _hold_same_names(root, *folders):
        return
    masks = folders[1] if roles[1] == "masks" or roles[0] == "images" else folders[0]
    if _mode(tree.images(root / masks)[0]) in ONE_CHANNEL:
        raise BadData(
            f"'{root}' holds {folders[0]}/ and {folders[1]}/ with files of the same names, as images and masks do: "
            f"{EXPECTED}; for classes, rename the folder (--dataset)"
        )


def _hold_same_names(place: Path, first: str, second: str) -> bool:
    """Whether two folders hold images of the same names, apart from the extension."""
    stems, others = (
        {tree.stem(path, place / folder) for path in tree.images(place / folder)} for folder in (first, second)
    )
    return bool(stems) and stems == others


def _mode(path: str) -> str:
    """Pillow's mode of an image file, "" if it cannot be read."""
    try:
        with Image.open(path, formats=image_files.FORMATS) as image:
            return str(image.mode)
    except Exception:  # Pillow's readers raise whatever the bytes led them to
        return ""


def _pair_all(root: Path, places: Places, notes: collections.Counter[str]) -> list[Example]:
    """The images of each split with their masks."""
    examples = []
    for split, (image_folder, mask_folder) in places.items():
        for folder in (image_folder, mask_folder):
            if not folder.is_dir():
                raise BadData(
                    f"no folder '{folder}': {image_folder.name}/ and {mask_folder.name}/ go together (--dataset)"
                )
        images = tree.index_by_stem(image_folder, notes)
        masks = tree.index_by_stem(mask_folder, notes)
        if not images and not masks:
            raise BadData(f"the {split} split has no image in '{image_folder}' (--dataset)")
        if tree.plain(mask_folder.name) == tree.VOC_MASKS:
            notes["without a mask"] += len(set(images) - set(masks))
            images = {stem: path for stem, path in images.items() if stem in masks}
        for stem in sorted(set(images) ^ set(masks)):
            if stem in images:
                raise BadData(f"'{images[stem]}' has no mask of that name in '{mask_folder}' (--dataset)")
            raise BadData(f"'{masks[stem]}' has no image of that name in '{image_folder}' (--dataset)")
        for stem, path in images.items():
            examples.append(Example(os.path.relpath(path, root), path, split, mask=masks[stem]))
    return examples


def _pair_by_lists(root: Path, pair: tuple[Path, Path], lists: Path, notes: collections.Counter[str]) -> list[Example]:
    """The pairs that the lists of PASCAL VOC name; images that none names, or without a mask, are counted."""
    images = tree.index_by_stem(pair[0], notes)
    masks = tree.index_by_stem(pair[1], notes)
    examples = []
    used = set()
    name_lists = voc_lists.read_lists(lists)
    for split, path, stems in name_lists:
        for stem in stems:
            if stem not in images:
                raise BadData(f"'{path}' names {stem}, but '{pair[0]}' holds no such image (--dataset)")
            if stem in masks and stem not in used:
                used.add(stem)
                name = os.path.relpath(images[stem], root)
                examples.append(Example(name, images[stem], split, mask=masks[stem]))
    if not any(example.split == "train" for example in examples):
        raise BadData(f"no image of '{name_lists[0].file}' has a mask in '{pair[1]}' (--dataset)")
    notes["without a mask in the lists"] += len(images) - len(used)
    return examples
