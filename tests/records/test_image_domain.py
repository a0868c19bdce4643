import re

import numpy as np
import pytest
from PIL import Image as Picture

from keshi.errors import DomainError
from keshi.records.column_kinds import Categorical, Image
from keshi.records.domain import Domain
from keshi.records.image_domain import declared_classes, image_domain

IMAGES = np.zeros((6, 4, 5, 3), dtype=np.uint8)


def saved(folder, **arrays):
    np.savez(folder / "images.npz", **arrays)
    return folder / "images.npz"


@pytest.mark.parametrize(
    ("text", "classes"),
    [
        ("3", (0, 1, 2)),
        ("3,5, 8", (3, 5, 8)),
        ("cat, dog", ("cat", "dog")),
        ("1,b", ("1", "b")),
        ("4096", tuple(range(4_096))),
    ],
)
def test_classes_are_a_number_or_names(text, classes):
    assert declared_classes(text) == classes


@pytest.mark.parametrize(
    "text", ["", "cat,", ",", "cat", "1", "0", "-3", "2.0", "\u2460", "4097", "99999999999999999999"]
)
def test_classes_that_are_none_are_refused(text):
    with pytest.raises(DomainError, match="class"):
        declared_classes(text)


def test_the_domain_is_the_layout_of_the_file_and_the_declared_classes(tmp_path):
    path = saved(tmp_path, x=IMAGES, y=np.arange(6), who=np.arange(6))
    assert image_domain(path, label="y", classes="6") == Domain(
        {"x": Image(4, 5, 3), "y": Categorical(tuple(range(6)))}, label="y", ignore=("who",)
    )


def test_no_array_is_looked_at(tmp_path):
    one = image_domain(saved(tmp_path, x=IMAGES, y=np.arange(6)), label="y", classes="2")
    other = image_domain(saved(tmp_path, x=IMAGES[:2] + 200, y=np.array([7, 700])), label="y", classes="2")
    assert one == other


@pytest.mark.parametrize(
    ("arrays", "label", "rule"),
    [
        ({"x": IMAGES / 255, "y": np.arange(6)}, "y", "(uint8)"),  # whose bounds are not known
        ({"x": np.moveaxis(IMAGES, 3, 1), "y": np.arange(6)}, "y", "3 or 4 channels"),  # channels first
        ({"x": IMAGES, "more": IMAGES, "y": np.arange(6)}, "y", "one array of images"),
        ({"y": np.arange(6), "z": np.arange(6)}, "y", "are: none"),
        ({"x": IMAGES, "y": np.arange(6)}, "x", r"columns ['y'], got 'x'"),
        ({"x": IMAGES, "y": np.arange(6)}, "label", r"columns ['y'], got 'label'"),
    ],
)
def test_what_needs_a_domain_file_says_so(tmp_path, arrays, label, rule):
    with pytest.raises(DomainError, match=re.escape(rule)):
        image_domain(saved(tmp_path, **arrays), label=label, classes="6")


def test_the_size_of_pictures_in_folders_must_be_declared(tmp_path):
    (tmp_path / "cat").mkdir()
    Picture.fromarray(IMAGES[0]).save(tmp_path / "cat" / "one.png")
    with pytest.raises(DomainError, match="must be declared"):
        image_domain(tmp_path, label="label", classes="cat,dog")
