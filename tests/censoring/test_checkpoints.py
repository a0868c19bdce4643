from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from keshi.censoring.checkpoints import KEY_FILE, Checkpoint
from keshi.errors import ArtifactError


@pytest.mark.parametrize("key", ["", "ab", "00" * 15, "00" * 17, "no digits", 7, None])
def test_a_key_of_the_noise_that_could_be_guessed_is_refused(key: object, tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path, "mark", 1)
    drawn = checkpoint.noise_key()
    assert checkpoint.noise_key() == drawn
    if os.name == "posix":
        assert (tmp_path / "noise_key.json").stat().st_mode & 0o077 == 0  # nobody but the owner
    (tmp_path / KEY_FILE).write_text(json.dumps({"fingerprint": "mark", "key": key}))
    with pytest.raises(ArtifactError, match=r"noise_key\.json is no key of a noise"):
        checkpoint.noise_key()
