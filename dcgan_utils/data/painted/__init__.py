"""The two embedded collections, ``plein_air`` and ``critters``, painted on first use."""

from dcgan_utils.data.painted.collections import PAINTERS, paint_critter, paint_scene

__all__ = ["PAINTERS", "paint_critter", "paint_scene"]
