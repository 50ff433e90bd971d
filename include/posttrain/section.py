"""What every group of settings is: a typed, frozen model that refuses unknown keys.

It stands apart from the recipe so that code with settings of its own (a converter's options) need not import the recipe,
whose every edit would otherwise change that code's version.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
