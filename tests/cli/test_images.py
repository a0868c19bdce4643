import json

import numpy as np

from keshi.cli.app import app
from keshi.privacy.statement import PrivacyStatement
from keshi.records.column_kinds import Categorical, Image
from keshi.records.domain import Domain
from keshi.records.files import read_batches
from keshi.synthesis import array_fit, array_plan

CLASSES = ("grass", "sky")


def test_a_folder_of_colour_pictures_by_class_becomes_synthetic_ones_of_the_same_shape(
    tmp_path, capsys, monkeypatch
):
    from PIL import Image as pillow

    # The map of contrast is found on fewer made-up records: seconds less, and this is about shapes and files.
    monkeypatch.setattr(array_fit, "DRAWN_VALUES", 1)
    monkeypatch.setattr(array_plan, "PIXELS", 100)
    randomness = np.random.default_rng(0)
    for name in CLASSES:
        (tmp_path / "photographs" / name).mkdir(parents=True)
        for row, picture in enumerate(randomness.integers(0, 256, (30, 64, 64, 3), dtype=np.uint8)):
            pillow.fromarray(picture).save(tmp_path / "photographs" / name / f"{row}.png")
    domain = Domain({"image": Image(64, 64, 3), "label": Categorical(CLASSES)}, label="label")
    (tmp_path / "photographs.toml").write_text(domain.dumps())
    app(
        [
            *("synthesize", str(tmp_path / "photographs"), "--domain", str(tmp_path / "photographs.toml")),
            *("--epsilon", "10", "--rows", "24", "-o", str(tmp_path / "run"), "--no-report"),
        ],
        standalone_mode=False,
    )
    release = tmp_path / "run" / "release"
    statement = PrivacyStatement.from_dict(json.loads((release / "statement.json").read_text()))
    assert statement.sentence in capsys.readouterr().out
    with np.load(release / "synthetic.npz", allow_pickle=False) as made:
        assert made["image"].shape == (24, 64, 64, 3)
        assert made["image"].dtype == np.uint8
        assert set(made["label"].tolist()) == set(CLASSES)
    (again,) = read_batches(release / "synthetic.npz", domain)()  # reads as what was given
    assert np.stack(again["image"].tolist()).shape == (24, 64, 64, 3)
