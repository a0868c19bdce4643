"""keshi train: train a generator on an embedding. No records, no budget."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from keshi.records.domain import Domain
    from keshi.synthesis.private_embedding import PrivateEmbedding
    from keshi.synthesis.trained_generator import Generator

STEPS = typer.Option(None, "--steps", help="Generator steps, if not the preset's.")
THREADS = typer.Option(None, "--threads", help="Threads of torch; the same number repeats the same bytes.")

DEVICE = typer.Option(
    "cpu",
    "--device",
    help="Of torch, where to train: cuda, cuda:1, mps. Only the CPU repeats the same bytes.",
)


def train(
    embedding: Path = typer.Argument(help="What `keshi embed` wrote."),
    output: Path = typer.Option(
        ..., "--output", "-o", help="Where the generator goes (a folder, or a .zip)."
    ),
    steps: int | None = STEPS,
    seed: int = typer.Option(0, "--seed", help="Repeats the training."),
    threads: int | None = THREADS,
    device: str = DEVICE,
    kind: str | None = typer.Option(
        None,
        "--generator",
        help="With preset keshi: mixture (default), network (deep), or classwise (columns independent in each class).",
    ),
    resume: bool = typer.Option(False, "--resume", help="Go on with the generator that stands at --output."),
    overwrite: bool = typer.Option(False, "--overwrite", help="Replace an earlier output of keshi."),
) -> None:
    """Train a generator on an embedding: free of privacy cost, rerun at will, for as long as you like.

    Example: keshi train people.embedding --generator network -o people.generator
    """
    from keshi.cli.embed import check_output
    from keshi.synthesis.private_embedding import PrivateEmbedding
    from keshi.synthesis.trained_generator import Generator

    check_training(steps=steps, threads=threads, seed=seed)
    check_output(output, overwrite=overwrite or resume)
    start = Generator.load(output) if resume else None
    generator = train_embedding(
        PrivateEmbedding.load(embedding),
        steps=steps,
        seed=seed,
        threads=threads,
        device=device,
        kind=kind,
        start=start,
    )
    generator.save(output, overwrite=overwrite or resume)
    last = generator.learning_curve[-1]
    print(
        f"wrote {output} ({last.step:,} steps, loss {last.loss:.3g}; noise alone gives {last.noise_floor:.3g})"
    )
    print(f"Next: keshi sample {output} --rows 10000 -o {synthetic_name(generator.domain)}")


def synthetic_name(domain: Domain) -> str:
    """A file for synthetic records: npz where there are images or windows."""
    return "synthetic.npz" if domain.array_columns else "synthetic.csv"


def check_training(*, steps: int | None, threads: int | None, seed: int) -> None:
    """Raise for an argument of the training that cannot be; `synthesize` asks this before the budget is spent."""
    from keshi._validate import positive_integer, seed_in_range

    for name, value in (("steps", steps), ("threads", threads)):
        if value is not None:
            positive_integer(name, value)
    seed_in_range(seed)


def train_embedding(
    embedding: PrivateEmbedding,
    *,
    steps: int | None,
    seed: int,
    threads: int | None,
    device: str = "cpu",
    kind: str | None = None,
    start: Generator | None = None,
) -> Generator:
    """Train with a progress bar."""
    from keshi.cli.progress import progress_bar
    from keshi.synthesis.presets import generator_kind, preset_for, with_generator, with_steps
    from keshi.synthesis.synthesizer import train

    if kind is None and start is not None:
        kind = generator_kind(start.network)
    preset = with_generator(preset_for(embedding.domain, embedding.preset), kind)
    preset = with_steps(preset, steps)
    with progress_bar("training") as advance:
        return train(
            embedding,
            preset=preset,
            start=start,
            seed=seed,
            threads=threads,
            device=device,
            progress=lambda point, total: advance(point.step, total, f"loss {point.loss:.2g}"),
        )
