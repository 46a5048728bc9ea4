"""One augmentation config as steps of a batch: what it takes from other cases, geometry, grey values."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from lungzoo.config import AugmentConfig
from lungzoo.data.augment.draws import BENDS, base_table, bends, noise_field, noise_pool, table
from lungzoo.data.augment.intensity import add_noise, blur, change_gamma, change_intensity, lower_resolution, per_case
from lungzoo.data.augment.mix import cut_out, mix_up, paste_lesion
from lungzoo.data.augment.move import move
from lungzoo.data.augment.warp import sample, source_grid
from lungzoo.data.preprocess.grey import Scaling

_Change = Callable[[Any, Any, dict[str, Any]], tuple[Any, Any]]
# How far a pasted lesion lies from where it was, at most, as a share of the side.
_PASTE_REACH = 0.25


class Augmentation:
    """The operations that a config asks for.

    Args:
        config: which, and how strongly.
        seed: of all random numbers.
        scaling: raw values to numbers in [0, 1].
    """

    def __init__(self, config: AugmentConfig, seed: int, scaling: Scaling) -> None:
        import tensorflow as tf

        self._config, self._seed, self._scaling = config, seed, scaling
        self._bends = bends(seed)
        self._compiled = tf.function(self._change, jit_compile=True)
        self._warps = config.warp_share > 0 and (config.rotate_deg > 0 or config.scale > 0 or config.elastic > 0)
        strengths = {
            "noise": config.noise,
            "blur": config.blur_px,
            "low_resolution": config.low_resolution - 1,
            "gamma": config.gamma,
        }
        self._effects = [name for name in _EFFECTS if strengths[name] > 0 and config.effect_share > 0]
        shares = dict.fromkeys(_EFFECTS, config.effect_share)
        shares["cutout"] = config.effect_share if config.cutout > 0 else 0.0
        shares["mixup"] = config.effect_share if config.mixup > 0 else 0.0
        self._shares = shares | {"copy_paste": config.copy_paste}
        self._changes_some = bool(self._effects) or self._shares["cutout"] > 0
        self._pool = noise_pool(seed) if "noise" in self._effects else None
        self.partners = [name for name in ("mixup", "copy_paste") if self._shares[name] > 0]

    def tables(self, cases: int, epoch: Any) -> dict[str, Any]:
        """Return the numbers of an epoch by operation, a row for every case."""
        alone = {
            "warp": self._warps,
            "elastic": self._warps,
            "noise_field": "noise" in self._effects,
            "cutout": self._shares["cutout"] > 0,
        }
        streams = [*self._effects, *(name for name, wanted in alone.items() if wanted), *self.partners]
        found = {name: table(name, cases, self._seed, epoch) for name in streams}
        found["base"] = base_table(cases, self._seed, epoch)
        return found

    def takes(self, operation: str, draws: dict[str, Any], candidates: Any) -> tuple[Any, Any]:
        """Return which cases of a batch take part in an operation of `partners`, and the row that each takes from.

        Args:
            operation: "mixup" or "copy_paste".
            draws: the batch's numbers.
            candidates: int64 (n,) rows to choose from.
        """
        import tensorflow as tf

        chosen = self._active(operation, draws)
        count = tf.shape(candidates)[0]
        place = tf.cast(tf.gather(draws[operation][:, 1], chosen) * tf.cast(count, tf.float32), tf.int32)
        return chosen, tf.gather(candidates, tf.minimum(place, count - 1))

    def mix(self, image: Any, mask: Any, draws: dict[str, Any], read: Callable[[str], Any]) -> tuple[Any, Any]:
        """Blend in and paste from other cases.

        Args:
            image: (B, slices, H, W) in raw units.
            mask: uint8 (B, mask slices, H, W).
            draws: the batch's numbers.
            read: gives (chosen, image, mask) of the partners of an operation, see `takes`.
        """
        import tensorflow as tf

        if not self.partners:
            return image, mask
        image = tf.cast(image, tf.float32)
        if "mixup" in self.partners:
            chosen, other, _ = read("mixup")
            weight = tf.gather(draws["mixup"][:, 2], chosen) * self._config.mixup
            mixed = mix_up(tf.gather(image, chosen), tf.cast(other, tf.float32), weight)
            image = _replace(image, chosen, mixed)
        if "copy_paste" in self.partners:
            chosen, other, other_mask = read("copy_paste")
            reach = tf.cast(tf.shape(image)[2:], tf.float32) * _PASTE_REACH
            away = (2 * tf.gather(draws["copy_paste"][:, 2:4], chosen) - 1) * reach
            away, still = tf.cast(tf.round(away), tf.int32), tf.zeros_like(away, tf.bool)
            others = move(tf.cast(other, tf.float32), away, still), move(other_mask, away, still)
            pasted = paste_lesion(
                tf.gather(image, chosen), tf.gather(mask, chosen), *others, self._scaling.brightest_lung
            )
            image, mask = _replace(image, chosen, pasted[0]), _replace(mask, chosen, pasted[1])
        return image, mask

    def change(self, image: Any, mask: Any, draws: dict[str, Any]) -> tuple[Any, Any]:
        """Carry out the geometry, scale to [0, 1], and change grey values.

        What takes more than a move is compiled: the geometry of all cases at once, then what changes some of the cases,
        case by case, so that its pixels stay in the processor's cache from the first operation to the last.

        Args:
            image: (B, slices, H, W) in raw units.
            mask: uint8 (B, mask slices, H, W).
            draws: the batch's numbers.

        Returns:
            float32 (B, slices · channels, H, W) in [0, 1], and the mask, float32.
        """
        change = self._compiled if self._warps or self._changes_some else self._place
        changed: tuple[Any, Any] = change(image, mask, draws)
        return changed

    def change_case(self, image: Any, mask: Any, draws: dict[str, Any]) -> tuple[Any, Any]:
        """Do to a batch of one what `change` does, operation by operation."""
        image, mask = self._place(image, mask, draws)
        return self._with_effects(image, mask, draws)

    def _change(self, image: Any, mask: Any, draws: dict[str, Any]) -> tuple[Any, Any]:
        import tensorflow as tf

        image, mask = self._place(image, mask, draws)
        if not self._changes_some:
            return image, mask

        def change(case: Any) -> tuple[Any, Any]:
            changed, erased = self._with_effects(*tf.nest.map_structure(lambda part: part[tf.newaxis], case))
            return changed[0], erased[0]

        kinds = tf.TensorSpec(image.shape[1:], tf.float32), tf.TensorSpec(mask.shape[1:], tf.float32)
        changed: tuple[Any, Any] = tf.map_fn(change, (image, mask, draws), fn_output_signature=kinds)
        return changed

    def _place(self, image: Any, mask: Any, draws: dict[str, Any]) -> tuple[Any, Any]:
        """Carry out the geometry, and light."""
        import tensorflow as tf

        image, mask = (self._warp if self._warps else self._move)(image, mask, draws)
        return image, tf.cast(mask, tf.float32)

    def _with_effects(self, image: Any, mask: Any, draws: dict[str, Any]) -> tuple[Any, Any]:
        """Change noise, sharpness, gamma of a batch of one; cut a hole into it."""
        for name in self._effects:
            image, mask = self._if_active(name, draws, partial(self._effect, name), image, mask)
        if self._shares["cutout"] > 0:
            image, mask = self._if_active("cutout", draws, self._cut_out, image, mask)
        return image, mask

    def _if_active(
        self, operation: str, draws: dict[str, Any], change: _Change, image: Any, mask: Any
    ) -> tuple[Any, Any]:
        """Change a batch of one if its number says that it takes part in the operation."""
        import tensorflow as tf

        active = draws[operation][0, 0] < self._shares[operation]
        changed: tuple[Any, Any] = tf.cond(active, lambda: change(image, mask, draws), lambda: (image, mask))
        return changed

    def _move(self, image: Any, mask: Any, draws: dict[str, Any]) -> tuple[Any, Any]:
        shift, flip = self._whole_moves(draws["base"])
        return self._lit(move(image, shift, flip), draws["base"]), move(mask, shift, flip)

    def _warp(self, image: Any, mask: Any, draws: dict[str, Any]) -> tuple[Any, Any]:
        """Look every pixel up once; a case that is not turned, scaled or bent comes out exactly as of `move`."""
        import tensorflow as tf

        config, sides, numbers = self._config, tf.shape(image)[2:], draws["warp"]
        active = numbers[:, 0] < config.warp_share
        bend = None
        if config.elastic > 0:
            which = tf.minimum(tf.cast(draws["elastic"][:, 0] * BENDS, tf.int32), BENDS - 1)
            size = config.elastic * tf.reshape(tf.cast(sides, tf.float32), [1, 2, 1, 1])
            bend = tf.where(per_case(active, size), tf.gather(self._bends, which), 0.0) * size
        angle, power = (tf.where(active, 2.0 * numbers[:, column] - 1.0, 0.0) for column in (1, 2))
        turn = angle * config.rotate_deg, (1 + config.scale) ** power
        grid = source_grid((sides[0], sides[1]), *self._whole_moves(draws["base"]), *turn, bend)
        image, mask = sample(tf.cast(image, tf.float32), mask, *grid)
        return self._lit(image, draws["base"]), mask

    def _whole_moves(self, base: Any) -> tuple[Any, Any]:
        """Return the shift in pixels and the mirrors of each case."""
        import tensorflow as tf

        shift = tf.cast(tf.round((2.0 * base - 1.0)[:, 0:2] * self._config.shift_px), tf.int32)
        return shift, (base[:, 2:4] < 0.5) & self._config.flip

    def _lit(self, image: Any, base: Any) -> Any:
        """Scale to [0, 1], and change contrast and brightness."""
        centred, strength = 2.0 * base - 1.0, self._config.intensity
        return change_intensity(self._scaling(image), 1 + centred[:, 4] * strength, centred[:, 5] * strength)

    def _effect(self, name: str, image: Any, mask: Any, draws: dict[str, Any]) -> tuple[Any, Any]:
        noise = None
        if name == "noise":
            noise = noise_field(self._pool, draws["noise_field"][0, 0], tuple(image.shape[1:]))
        return _EFFECTS[name](self._config, image, draws[name][:, 1], noise), mask

    def _cut_out(self, image: Any, mask: Any, draws: dict[str, Any]) -> tuple[Any, Any]:
        numbers = draws["cutout"]
        return cut_out(image, mask, numbers[:, 1:3], numbers[:, 3:5] * self._config.cutout)

    def _active(self, operation: str, draws: dict[str, Any]) -> Any:
        import tensorflow as tf

        return tf.where(draws[operation][:, 0] < self._shares[operation])[:, 0]


def _gamma(config: AugmentConfig, image: Any, value: Any, noise: Any) -> Any:
    return change_gamma(image, (1 + config.gamma) ** (2 * value - 1))


def _noise(config: AugmentConfig, image: Any, value: Any, noise: Any) -> Any:
    return add_noise(image, value * config.noise, noise)


def _blur(config: AugmentConfig, image: Any, value: Any, noise: Any) -> Any:
    return blur(image, value * config.blur_px, config.blur_px)


def _low_resolution(config: AugmentConfig, image: Any, value: Any, noise: Any) -> Any:
    return lower_resolution(image, 1 + value * (config.low_resolution - 1))


# In nnU-Net's order.
_EFFECTS = {"noise": _noise, "blur": _blur, "low_resolution": _low_resolution, "gamma": _gamma}


def _replace(batch: Any, rows: Any, values: Any) -> Any:
    import tensorflow as tf

    return tf.tensor_scatter_nd_update(batch, rows[:, tf.newaxis], tf.ensure_shape(values, [None, *batch.shape[1:]]))
