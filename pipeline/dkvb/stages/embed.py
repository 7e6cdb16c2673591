"""Stage 1: run the frozen encoder once over every image and keep the features (paper, section 5.1; no augmentation).

Writes, for `train` and `test`, zarr v3 arrays `features` (N, D) float32, `labels` (N,) int64, `ids` (N,) and content
`hashes` (N, 16); class names are attributes of each split's group. Finished shards are never done again; on one process
or many, the bits are the same.
"""

from __future__ import annotations

from pathlib import Path

from dkvb.embedding.leaks import describe, find_leaks
from dkvb.embedding.shards import (
    Job,
    Shard,
    Source,
    create_arrays,
    embed_shard,
    feature_width,
    remote_shard,
    shards_of,
    turned_upright,
    units,
)
from dkvb.embedding.unreadable import bad_rows, finish_swap, leave_out, left_out
from dkvb.encoders.base import FrozenEncoder
from dkvb.encoders.networks import load_encoder, weights_fingerprint
from dkvb.errors import DkvbError, UsageError, some
from dkvb.recipe import Recipe
from dkvb.records.embed import EmbedPart, EmbedResult
from dkvb.runtime import progress
from dkvb.runtime.device import choose_device
from dkvb.runtime.parallel import distributed_run, spread
from dkvb.sources.base import ImageSource
from dkvb.sources.opening import open_source
from dkvb.sources.remarks import in_words, refused
from dkvb.workspace import arrays
from dkvb.workspace.artifacts import Claim, Workspace
from dkvb.workspace.beside_purge import refuse_half_purged
from dkvb.workspace.finished import Artifact
from dkvb.workspace.manifest import Spec
from dkvb.workspace.names import FILES, STORED_SPLITS
from dkvb.workspace.purged import refuse_gone, refuse_return
from dkvb.workspace.specs import embed_spec

SHOWN = 10


def run(
    recipe: Recipe,
    workspace: Workspace,
    force: bool = False,
    shard_range: tuple[int, int] | None = None,
    source: Source | None = None,
) -> list[EmbedResult | EmbedPart]:
    """Embed the recipe's data set, or find that an earlier run has done it.

    Returns:
        One record: the features, or, of a range that leaves others to be done, how many shards are left.

    Args:
        shard_range: only these shards, counted over train and then test, first included and last excluded; for job
            arrays, whose processes may all write to one workspace at a time. The last one to finish completes the
            artifact.
        source: the data, such as `dkvb.from_arrays` gives them; by default, those that the recipe names. They are
        embedded by this process, whatever `run.workers` says.

    Raises:
        UsageError: data or encoder that cannot be used as asked.
        DkvbError: data that cannot be learned from, weights that cannot be had, images that cannot be read, leaks where
        strict.
    """
    if source is None:
        source = open_source(recipe.data)
    else:
        _check_kind(recipe, source)
        recipe = recipe.with_(run={"workers": 1, "scheduler": None})
    inputs = {"source": source.fingerprint}
    if isinstance(source, ImageSource):
        inputs["weights"] = weights_fingerprint(recipe.encoder)
    spec = embed_spec(recipe, inputs)
    label = f"embed {recipe.name}"
    _remark(recipe, source, label)
    purged = _purged(workspace, spec, force)
    if shard_range:
        return _part(recipe, workspace, source, spec, label, shard_range)
    if purged:
        purged.say_done(label, "; some classes were purged from it")
        return [_checked(recipe, purged, skipped=True)]
    with workspace.claim(spec, force) as claim:
        if done := claim.reuse(label, lambda made: arrays.heal(made, arrays.Marks(made.path), units(made), label)):
            return [_checked(recipe, done, skipped=True)]
        job, encoder = _begin(recipe, source, claim.path, label)
        _embed(recipe, job, source, encoder, shards_of(_lengths(source)), label)
        return [_checked(recipe, _finish(recipe, claim, job, source, encoder, label), skipped=False)]


def _check_kind(recipe: Recipe, source: Source) -> None:
    """Refuse data that are given where the recipe is for data of the other kind."""
    if isinstance(source, ImageSource) == recipe.data.features:
        holds, wanted = ("images", "image-arrays") if isinstance(source, ImageSource) else ("features", "arrays")
        raise UsageError(
            f"The recipe's source '{recipe.data.source}' is not one of {holds}, which the data given are: load_recipe("
            f'"{wanted}") is a recipe for them.'
        )


def _remark(recipe: Recipe, source: Source, label: str) -> None:
    """Say what opening the data set found.

    Raises:
        DkvbError: the recipe is strict, and files were passed over or something may well be a mistake.
    """
    for text in [*source.notes, *in_words(source.passed_over)]:
        progress.note(f"{label}: {text}")
    if recipe.data.strict and (wrong := [*source.doubts, *in_words(refused(source.passed_over))]):
        raise DkvbError(f"{'; '.join(wrong)}. Mend the data, or run without --strict to be warned only.")
    for text in source.doubts:
        progress.note(f"warning: {text}")


def _purged(workspace: Workspace, spec: Spec, force: bool) -> Artifact | None:
    """The finished artifact, checked, if rows were purged from it: making any of it again would bring them back."""
    refuse_half_purged(workspace)
    artifact = workspace.get(spec)
    if artifact is None:
        refuse_gone(workspace, spec)
        return None
    if not artifact.lost_rows:
        return None
    if force or artifact.wrong_files(chunks=True):
        refuse_return(workspace, artifact)
    return artifact


def _part(
    recipe: Recipe, workspace: Workspace, source: Source, spec: Spec, label: str, wanted: tuple[int, int]
) -> list[EmbedResult | EmbedPart]:
    """Some shards. The artifact's lock is held to begin and to finish, not in between, so that others can work on
    theirs."""
    shards = shards_of(_lengths(source))
    first, last = wanted
    if not 0 <= first < last <= len(shards):
        raise UsageError(
            f"--shard-range {first}:{last}: there are {len(shards)} shards, so that 0 <= first < last <= {len(shards)}."
        )
    with workspace.claim(spec, sweep=False) as claim:
        if claim.artifact:  # taken as it is: every range's process would check all of it
            claim.artifact.say_done(label)
            return [_checked(recipe, claim.artifact, skipped=True)]
        job, encoder = _begin(recipe, source, claim.path, label)
    with workspace.hold(
        f"{spec.stage}-{claim.path.name}-{first}-{last}", f"shards {first} to {last - 1} of {claim.path.name}"
    ):
        _embed(recipe, job, source, encoder, shards[first:last], label)
    with workspace.claim(spec, sweep=False) as claim:
        if claim.artifact:
            return [_checked(recipe, claim.artifact, skipped=False)]
        marks = arrays.Marks(claim.path)
        left = [number for number, shard in enumerate(shards) if marks.get(shard.name) is None]
        if left:
            progress.note(
                f"{label}: {len(shards) - len(left)} of {len(shards)} shards are done; the rest is for other ranges"
            )
            name = _encoder_name(recipe)
            return [EmbedPart(source=recipe.data.source, encoder=name, shards=len(shards), shards_left=left)]
        return [_checked(recipe, _finish(recipe, claim, job, source, encoder, label), skipped=False)]


def _lengths(source: Source) -> dict[str, int]:
    return {split: len(source.splits[split].labels) for split in STORED_SPLITS}


def _encoder_name(recipe: Recipe) -> str | None:
    return None if recipe.data.features else recipe.encoder.name


def _begin(recipe: Recipe, source: Source, path: Path, label: str) -> tuple[Job, FrozenEncoder | None]:
    finish_swap(path)
    encoder, device = None, "cpu"
    if isinstance(source, ImageSource):
        device, reason = choose_device(recipe.run.device)
        progress.note(f"{label}: {recipe.encoder.name} on {device} ({reason})")
        encoder = load_encoder(recipe.encoder, device, source.mode)
    create_arrays(path, source, feature_width(source, encoder))
    return Job(path, recipe.data, recipe.encoder, device, recipe.data.on_bad), encoder


def _embed(
    recipe: Recipe, job: Job, source: Source, encoder: FrozenEncoder | None, shards: list[Shard], label: str
) -> None:
    """Embed the shards that are not done yet, here or on other processes.

    Raises:
        DkvbError: images that cannot be read; names them all, after everything else has been done.
    """
    marks = arrays.Marks(job.path)
    left = [shard for shard in shards if marks.get(shard.name) is None]
    lengths = _lengths(source)
    total = sum(min(shard.rows.stop, lengths[shard.split]) - shard.rows.start for shard in shards)
    unreadable: list[str] = []
    with progress.task(label, total, "images" if encoder else "rows") as task:
        task.skip(sum((marks.get(shard.name) or {"rows": 0})["rows"] for shard in shards))
        if distributed_run(recipe.run) and left:
            for rows, messages in spread(remote_shard, left, recipe.run, job):
                unreadable += messages
                task.advance(rows)
        else:
            for shard in left:
                unreadable += embed_shard(job, shard, source, encoder, task.advance)
    if unreadable:
        listed = f"{len(unreadable)} of {total:,} images cannot be read: {some(unreadable, SHOWN, ';')}"
        if job.on_bad == "skip":
            progress.note(f"{label}: {listed}; they are left out and recorded in the manifest")
        else:
            raise DkvbError(
                f"{listed}. Repair them and run `dkvb embed` again (finished shards are kept), or leave them out with"
                " --on-bad skip."
            )


def _finish(
    recipe: Recipe, claim: Claim, job: Job, source: Source, encoder: FrozenEncoder | None, label: str
) -> Artifact:
    """Leave out what could not be read, look for leaks, and write the manifest."""
    for split, bad in bad_rows(claim.path, _lengths(source)).items():
        if bad:
            leave_out(claim.path, split, bad)
    stored = {
        split: {name: arrays.plain(claim.path, f"{split}/{name}") for name in ("labels", "hashes", "ids")}
        for split in STORED_SPLITS
    }
    hashes, labels, ids = ({split: of[name] for split, of in stored.items()} for name in ("hashes", "labels", "ids"))
    leaks = find_leaks(hashes, labels, list(source.classes), {split: of.tolist() for split, of in ids.items()})
    turned = None
    if isinstance(source, ImageSource):
        source.write_manifest(claim.path / FILES)
        if recipe.data.exif_rotate:
            turned = turned_upright(claim.path, shards_of(_lengths(source)))
    if turned:
        total = sum(_lengths(source).values())
        progress.note(f"{label}: {turned:,} of {total:,} images were turned as their EXIF orientation says")
    return claim.finish(
        EmbedResult(
            source=recipe.data.source,
            encoder=_encoder_name(recipe),
            train=len(labels["train"]),
            test=len(labels["test"]),
            dim=int(arrays.plain_shape(claim.path, "train/features")[1]),
            mode=source.mode if isinstance(source, ImageSource) else None,
            classes=[str(name) for name in source.classes],
            weights_sha256=encoder.weights_hash if encoder else None,
            turned=turned,
            passed_over={reason: of.count for reason, of in source.passed_over.items()},
            unreadable={split: left_out(claim.path, split) for split in STORED_SPLITS},
            leaks=leaks,
            leaks_in_words=describe(leaks) if leaks.any else None,
        )
    )


def _checked(recipe: Recipe, artifact: Artifact, skipped: bool) -> EmbedResult:
    """The entry of a finished artifact; warns of leaks, or fails where the recipe is strict."""
    entry = artifact.entry(EmbedResult, skipped)
    if entry.leaks_in_words:
        if recipe.data.strict:
            raise DkvbError(
                f"{entry.leaks_in_words} Remove them from the data, or run without --strict to be warned only."
            )
        progress.note(f"warning: {entry.leaks_in_words}")
    return entry
