"""One augmentation config as steps of a batch: what it takes from other cases, geometry, grey values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lungzoo.config import AugmentConfig
from lungzoo.data.augment.draws import BENDS, base_table, bends, field_seeds, normal_fields, table
from lungzoo.data.augment.intensity import add_noise, blur, change_gamma, change_intensity, lower_resolution, per_case
from lungzoo.data.augment.mix import cut_out, mix_up, paste_lesion
from lungzoo.data.augment.move import move
from lungzoo.data.augment.warp import sample, source_grid
from lungzoo.data.preprocess.grey import Scaling

_SEEDS = " seeds"
# How far a pasted lesion lies from where it was, at most, as a share of the side.
_PASTE_REACH = 0.25


class Augmentation:
    """The operations that a config asks for.

    Args:
        config: which, and how strongly.
        seed: of all random numbers.
        scaling: raw values to numbers in [0, 1].
        compiled: make the warp one compiled loop instead of forty passes over memory, five times as fast on a CPU.
    """

    def __init__(self, config: AugmentConfig, seed: int, scaling: Scaling, compiled: bool = True) -> None:
        import tensorflow as tf

        self._config, self._seed, self._scaling = config, seed, scaling
        self._bends = bends(seed)
        self._warped = tf.function(self._warp, jit_compile=True) if compiled else self._warp
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
        self.partners = [name for name in ("mixup", "copy_paste") if self._shares[name] > 0]

    def tables(self, cases: int, epoch: Any) -> dict[str, Any]:
        """Return the numbers of an epoch by operation, a row for every case."""
        alone = {"warp": self._warps, "elastic": self._warps, "cutout": self._shares["cutout"] > 0}
        streams = [*self._effects, *(name for name, wanted in alone.items() if wanted), *self.partners]
        found = {name: table(name, cases, self._seed, epoch) for name in streams}
        found["base"] = base_table(cases, self._seed, epoch)
        if "noise" in self._effects:
            found["noise" + _SEEDS] = field_seeds("noise", cases, self._seed, epoch)
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

        Args:
            image: (B, slices, H, W) in raw units.
            mask: uint8 (B, mask slices, H, W).
            draws: the batch's numbers.

        Returns:
            float32 (B, slices · channels, H, W) in [0, 1], and the mask.
        """
        import tensorflow as tf

        base, config = draws["base"], self._config
        shift = tf.cast(tf.round((2.0 * base - 1.0)[:, 0:2] * config.shift_px), tf.int32)
        flip = (base[:, 2:4] < 0.5) & config.flip
        if self._warps:
            bend = self._bend(draws) if config.elastic > 0 else None
            image, mask = self._warped(image, mask, base, shift, flip, draws["warp"], bend)
        else:
            image, mask = move(image, shift, flip), move(mask, shift, flip)
            image = self._lit(self._scaling(image), base)
        return self._with_effects(image, mask, draws)

    def _warp(
        self, image: Any, mask: Any, base: Any, shift: Any, flip: Any, numbers: Any, bend: Any
    ) -> tuple[Any, Any]:
        """Look every pixel up once; a case that is not turned, scaled or bent comes out exactly as of `move`."""
        import tensorflow as tf

        config, sides = self._config, tf.shape(image)[2:]
        active = numbers[:, 0] < config.warp_share
        angle, power = (tf.where(active, 2.0 * numbers[:, column] - 1.0, 0.0) for column in (1, 2))
        if bend is not None:
            bend = tf.where(per_case(active, bend), bend, 0.0) * tf.reshape(tf.cast(sides, tf.float32), [1, 2, 1, 1])
        turn = angle * config.rotate_deg, (1 + config.scale) ** power
        grid = source_grid((sides[0], sides[1]), shift, flip, *turn, bend)
        image, mask = sample(tf.cast(image, tf.float32), mask, *grid)
        return self._lit(self._scaling(image), base), mask

    def _lit(self, image: Any, base: Any) -> Any:
        """Change contrast and brightness of all cases."""
        centred, strength = 2.0 * base - 1.0, self._config.intensity
        return change_intensity(image, 1 + centred[:, 4] * strength, centred[:, 5] * strength)

    def _with_effects(self, image: Any, mask: Any, draws: dict[str, Any]) -> tuple[Any, Any]:
        """Change noise, sharpness, gamma of some cases; cut holes into some."""
        import tensorflow as tf

        for name in self._effects:
            chosen = self._active(name, draws)
            part, value = tf.gather(image, chosen), tf.gather(draws[name][:, 1], chosen)
            seeds = tf.gather(draws[name + _SEEDS], chosen) if name + _SEEDS in draws else None
            image = _replace(image, chosen, _EFFECTS[name](self._config, part, value, seeds))
        if self._shares["cutout"] > 0:
            chosen = self._active("cutout", draws)
            numbers = tf.gather(draws["cutout"], chosen)
            size = numbers[:, 3:5] * self._config.cutout
            erased = cut_out(tf.gather(image, chosen), tf.gather(mask, chosen), numbers[:, 1:3], size)
            image, mask = _replace(image, chosen, erased[0]), _replace(mask, chosen, erased[1])
        return image, mask

    def _active(self, operation: str, draws: dict[str, Any]) -> Any:
        import tensorflow as tf

        return tf.where(draws[operation][:, 0] < self._shares[operation])[:, 0]

    def _bend(self, draws: dict[str, Any]) -> Any:
        """Return each case's control points, (B, 2, 7, 7), as a share of the side."""
        import tensorflow as tf

        which = tf.cast(draws["elastic"][:, 0] * BENDS, tf.int32)
        return tf.gather(self._bends, tf.minimum(which, BENDS - 1)) * self._config.elastic


def _gamma(config: AugmentConfig, image: Any, value: Any, seeds: Any) -> Any:
    return change_gamma(image, (1 + config.gamma) ** (2 * value - 1))


def _noise(config: AugmentConfig, image: Any, value: Any, seeds: Any) -> Any:
    import tensorflow as tf

    return add_noise(image, value * config.noise, normal_fields(seeds, tf.shape(image)[1:]))


def _blur(config: AugmentConfig, image: Any, value: Any, seeds: Any) -> Any:
    return blur(image, value * config.blur_px, config.blur_px)


def _low_resolution(config: AugmentConfig, image: Any, value: Any, seeds: Any) -> Any:
    return lower_resolution(image, 1 + value * (config.low_resolution - 1))


# In nnU-Net's order.
_EFFECTS = {"noise": _noise, "blur": _blur, "low_resolution": _low_resolution, "gamma": _gamma}


def _replace(batch: Any, rows: Any, values: Any) -> Any:
    import tensorflow as tf

    return tf.tensor_scatter_nd_update(batch, rows[:, tf.newaxis], tf.ensure_shape(values, [None, *batch.shape[1:]]))
