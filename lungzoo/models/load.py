"""Models with trained weights: published ones by name, or from a file with its manifest.

The architecture is built by lungzoo from the manifest and only numbers come from the file, so a file that someone
sent cannot run code.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lungzoo.encoders import ENCODERS
from lungzoo.errors import UsageError, WeightsMismatch
from lungzoo.models.zoo import MODELS
from lungzoo.schema import Option
from lungzoo.weights import hub
from lungzoo.weights.manifest import WeightsManifest, read_manifest

if TYPE_CHECKING:
    from lungzoo.weights.fit import Part

_REFUSED = {
    **dict.fromkeys((".keras", ".h5", ".hdf5", ".pb"), "a Keras or TensorFlow file can carry code in its layers"),
    **dict.fromkeys((".pkl", ".pickle", ".joblib", ".pt", ".pth", ".ckpt", ".bin"), "a pickle runs code when opened"),
    **dict.fromkeys((".zip", ".tar", ".gz", ".onnx", ".safetensors"), "it is not a weights file of lungzoo"),
}
_SMALL_BYTES = 2**26
"""What any network may have, however small its file."""
_GIVE = "Give a published name (lungzoo weights list), an .npz with its manifest, or a folder with both."


def load(source: str | Path, *, new_head: bool = False) -> Any:
    """Build a model and set its trained weights.

    Args:
        source: a published name, also as "lungzoo:NAME"; "hf:ORG/NAME"; the path of an `.npz` with its manifest
            beside it (`<stem>.toml`, `<stem>.json`, `manifest.json` or `manifest.toml`); or a folder with a manifest,
            such as a run's `weights`. `LUNGZOO_HUB` says where names are looked for beside those that ship.
        new_head: leave the heads as initialised, for another task.

    Returns:
        A `keras.Model`; see `build_model`.

    Raises:
        UsageError: no such name or file, or a file of a kind that is not opened.
        ConfigError: the manifest is malformed.
        WeightsUnavailable: the weights cannot be had here, or are damaged.
        WeightsMismatch: the file does not fit the model that its manifest names.
    """
    return load_resolved(*resolve(source), new_head=new_head)


def load_resolved(manifest: WeightsManifest, path: Path, *, new_head: bool = False) -> Any:
    """Build the model of a manifest and set the weights in a file; see `load`."""
    from lungzoo.models.assemble import build_model
    from lungzoo.weights.file import read_weights
    from lungzoo.weights.fit import apply_weights

    arrays = read_weights(path, manifest.sha256, manifest.size_bytes)  # a file that is none costs no building
    _check_sizes(manifest)
    model = build_model(manifest.model, None)
    apply_weights(model, arrays, new_head=new_head)
    return model


def _check_sizes(manifest: WeightsManifest) -> None:
    """Refuse a model that is far too large for its file, before it is built: a manifest can claim any size."""
    model = manifest.model
    widths = [model.classes, model.in_channels, len(model.labels), *(model.decoder_channels or ())]
    widths += [value for _, value in model.encoder_options if isinstance(value, int)]
    most = math.isqrt((_SMALL_BYTES + 8 * manifest.size_bytes) // (9 * 4))  # of a 3×3 convolution, in and out
    if max(widths) > most:
        raise WeightsMismatch(
            f"The manifest of '{manifest.name}' claims a width of {max(widths)}, for which its file of "
            f"{manifest.size_bytes} bytes is far too small. Fetch or write it again."
        )


def load_into(model: Any, source: str | Path, *, part: Part = "all", new_head: bool = False) -> WeightsManifest:
    """Set trained weights in a model that is there already; see `load` and `weights.fit.apply_weights`.

    Returns:
        The manifest of the weights.
    """
    from lungzoo.weights.file import read_weights
    from lungzoo.weights.fit import apply_weights

    manifest, path = resolve(source)
    arrays = read_weights(path, manifest.sha256, manifest.size_bytes)
    apply_weights(model, arrays, part=part, new_head=new_head)
    return manifest


def resolve(source: str | Path) -> tuple[WeightsManifest, Path]:
    """Return the manifest and the file that a source means; fetches published weights. Raises like `load`."""
    if isinstance(source, str) and _is_name(source):
        published = hub.get(source)
        return published.manifest, hub.fetch_file(published)
    path = _opened(Path(source))
    manifest_path = _manifest_of(path)
    manifest = read_manifest(manifest_path)
    file = path if path.suffix.lower() == ".npz" else manifest_path.parent / manifest.file
    if not file.is_file():
        raise UsageError(f"No weights file at '{file}', which {manifest_path.name} names. {_GIVE}")
    return manifest, _here(file)


def find_manifest(source: str | Path) -> WeightsManifest:
    """Return what is known of the weights that a source means, without fetching them. Raises like `load`."""
    if isinstance(source, str) and _is_name(source):
        return hub.find(source)
    return read_manifest(_manifest_of(_opened(Path(source))))


def find_start(encoder: str, options: Mapping[str, Option], depth: int, start: str) -> WeightsManifest | None:
    """Return the published weights whose encoder can start another model.

    Args:
        encoder: registry name of the encoder.
        options: its options, such as {"alpha": 0.35}; those left out have their defaults.
        depth: deepest level that is needed.
        start: short name of the start, such as "lidc".

    Returns:
        The manifest; of several the newest, then the shallowest that is deep enough. None where there is none.
    """
    wanted = all_options(encoder, options)
    found = [
        manifest
        for name, manifest in _starts()
        if name == encoder
        and manifest.start == start
        and all_options(encoder, dict(manifest.model.encoder_options)) == wanted
        and manifest.model.encoder_depth >= depth
    ]
    found.sort(key=lambda manifest: manifest.model.encoder_depth)
    return max(found, key=lambda manifest: manifest.created, default=None)


def published_starts() -> dict[str, tuple[str, ...]]:
    """Return, for each encoder that has any, the short names of its published starts."""
    starts: dict[str, set[str]] = {}
    for encoder, manifest in _starts():
        starts.setdefault(encoder, set()).add(str(manifest.start))
    return {encoder: tuple(sorted(names)) for encoder, names in sorted(starts.items())}


def _starts() -> Iterator[tuple[str, WeightsManifest]]:
    """Yield (encoder, manifest) of the published weights that serve as a start."""
    for published in hub.everything(local=True):  # what a short name means must not depend on who answers
        manifest = published.manifest
        if manifest.start is not None and manifest.model.name in MODELS:
            yield MODELS.get(manifest.model.name).encoder, manifest


def all_options(encoder: str, options: Mapping[str, Option]) -> dict[str, Option]:
    """Return an encoder's options, those left out with their defaults."""
    return {**(ENCODERS.get(encoder).options if encoder in ENCODERS else {}), **options}


def _is_name(source: str) -> bool:
    """Tell a published name from a path; what looks like neither is a name, so that its error suggests the nearest."""
    if source.startswith(hub.PREFIXES) or source in hub.names(local=True):
        return True
    suffix = Path(source).suffix.lower()
    path_like = "/" in source or "\\" in source or suffix in (".npz", ".toml", ".json", *_REFUSED)
    return not path_like and not os.path.exists(source)  # pathlib raises where it is too long


def _opened(path: Path) -> Path:
    """Return the path; raises UsageError where files of its kind are not opened."""
    if reason := _REFUSED.get(path.suffix.lower()):
        raise UsageError(f"lungzoo does not open '{path}': {reason}. {_GIVE}")
    return path


def _here(path: Path) -> Path:
    """Return the path of a file; raises UsageError where it is a link that leads out of its folder."""
    try:
        target = path.resolve(strict=True)
    except (OSError, RuntimeError) as error:
        raise UsageError(f"'{path}' is a link that leads nowhere: {error}. {_GIVE}") from None
    if target.parent != path.parent.resolve():
        raise UsageError(
            f"'{path}' is a link that leads out of its folder, to '{target}'. Give a folder with the files "
            "themselves. From Hugging Face you get one with: hf download ORG/NAME --local-dir FOLDER"
        )
    return path


def _manifest_of(path: Path) -> Path:
    if path.is_dir():
        candidates = [path / "manifest.json", path / "manifest.toml", *sorted(path.glob("*.toml"))[:1]]
        if len(list(path.glob("*.toml"))) > 1:
            candidates = candidates[:2]
    elif path.suffix.lower() == ".npz":
        candidates = [path.with_suffix(".toml"), path.with_suffix(".json")]
        candidates += [path.with_name("manifest.json"), path.with_name("manifest.toml")]
    else:
        candidates = [path] if path.suffix in (".toml", ".json") else []
    if not path.exists():
        raise UsageError(f"No weights at '{path}'. {_GIVE}")
    for candidate in candidates:
        if candidate.is_file() and (path.suffix.lower() != ".npz" or read_manifest(_here(candidate)).file == path.name):
            return _here(candidate)
    looked = ", ".join(candidate.name for candidate in candidates)
    raise UsageError(f"'{path}' has no manifest{f' (looked for {looked})' if looked else ''}. {_GIVE}")
