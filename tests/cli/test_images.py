import json
import struct

import numpy as np
import pytest

from keshi.cli.app import app
from keshi.errors import BudgetError
from keshi.privacy.ledger import PrivacyLedger
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


@pytest.fixture
def stripes(tmp_path):
    """40 images of 4 x 4, half of them of one class, with whose they are."""
    randomness = np.random.default_rng(0)
    images = randomness.integers(0, 256, (40, 4, 4), dtype=np.uint8)
    path = tmp_path / "stripes.npz"
    np.savez(path, x=images, y=np.arange(40) % 2, who=np.arange(40) // 2)
    return path


def run(*arguments):
    app([str(argument) for argument in arguments], standalone_mode=False)


def test_images_of_bytes_need_no_domain_file(stripes, tmp_path, capsys):
    declared = ("--label", "y", "--classes", "2", "--subject", "who")
    run("synthesize", stripes, *declared, "--epsilon", "5", "--rows", "6", "-o", tmp_path / "run")
    said = capsys.readouterr()
    assert "for adding or removing one subject (column who)" in said.out
    assert "left out: who" in said.err
    with np.load(tmp_path / "run/release/synthetic.npz", allow_pickle=False) as made:
        assert made["x"].shape == (6, 4, 4)
        assert set(made["y"].tolist()) <= {0, 1}
        assert "who" not in made


@pytest.mark.parametrize("verb", ["embed", "synthesize"])
@pytest.mark.parametrize(
    ("given", "rule"),
    [
        ((), "publicly known"),
        (("--label", "y"), "--classes"),
        (("--classes", "2"), "--label NAME"),
        (("--label", "y", "--domain", "stripes.toml"), "stand in for a domain file"),
    ],
)
def test_half_a_declaration_is_refused(verb, given, rule, stripes, tmp_path):
    with pytest.raises(ValueError, match=rule):
        run(verb, stripes, *given, "--epsilon", "1", "-o", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_ledger_beside_the_images_is_not_passed_by(stripes, tmp_path):
    PrivacyLedger.create(tmp_path / "anything.ledger", epsilon=1.0, delta=1e-5).close()
    spent = ("--label", "y", "--classes", "2", "--epsilon", "0.5")
    with pytest.raises(BudgetError, match="stands beside"):
        run("embed", stripes, *spent, "-o", tmp_path / "out")
    run("embed", stripes, *spent, "--ledger", tmp_path / "anything.ledger", "-o", tmp_path / "out")
    with PrivacyLedger.open(tmp_path / "anything.ledger") as book:
        assert book.spent().mu > 0


def test_a_ledger_in_a_folder_of_idx_files_is_not_passed_by(tmp_path):
    (tmp_path / "idx").mkdir()
    for name, array in (
        ("images-idx3", np.zeros((4, 4, 4), np.uint8)),
        ("labels-idx1", np.arange(4, dtype=np.uint8)),
    ):
        header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
        (tmp_path / "idx" / f"train-{name}-ubyte").write_bytes(header + array.tobytes())
    PrivacyLedger.create(tmp_path / "idx" / "own.ledger", epsilon=1.0, delta=1e-5).close()
    with pytest.raises(BudgetError, match=r"own\.ledger stands beside"):
        run(
            "embed",
            tmp_path / "idx",
            "--label",
            "label",
            "--classes",
            "4",
            "--epsilon",
            "1",
            "-o",
            tmp_path / "out",
        )


@pytest.mark.parametrize("wrong", [("--steps", "10"), ("--device", "meta"), ("--device", "abacus")])
def test_what_the_preset_cannot_do_is_refused_before_anything_is_spent(wrong, stripes, tmp_path):
    declared = ("--label", "y", "--classes", "2", "--epsilon", "1", "-o", tmp_path / "run")
    with pytest.raises(ValueError, match=r"steps|device"):
        run("synthesize", stripes, *declared, *wrong)
    assert not (tmp_path / "run").exists()
