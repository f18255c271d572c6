"""The table of compression methods.

To add a method: write `edgepack/compress/<name>.py` with `NAME`, a frozen `Config` whose `method`
is a `Literal` of that name, and `run(model, config, context) -> Outcome`; add a row to `METHODS`
and its `Config` to `Step`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field

from edgepack.compress import (
    cluster,
    distill,
    low_rank,
    prune_magnitude,
    prune_obd,
    prune_obs,
    prune_pattern,
    prune_structured,
    replace_conv,
    train,
)
from edgepack.compress.context import Context, Outcome


@dataclass(frozen=True)
class Method:
    """One method: its configuration class, and what runs in the child process."""

    config: type[Any]
    run: Callable[[Any, Any, Context], Outcome]


METHODS: dict[str, Method] = {
    prune_magnitude.NAME: Method(prune_magnitude.Config, prune_magnitude.run),
    prune_obd.NAME: Method(prune_obd.Config, prune_obd.run),
    prune_obs.NAME: Method(prune_obs.Config, prune_obs.run),
    prune_pattern.NAME: Method(prune_pattern.Config, prune_pattern.run),
    prune_structured.NAME: Method(prune_structured.Config, prune_structured.run),
    low_rank.NAME: Method(low_rank.Config, low_rank.run),
    replace_conv.NAME: Method(replace_conv.Config, replace_conv.run),
    cluster.NAME: Method(cluster.Config, cluster.run),
    distill.NAME: Method(distill.Config, distill.run),
    train.NAME: Method(train.Config, train.run),
}

# One `[[compress]]` table of edgepack.toml; `method` tells which.
Step = Annotated[
    prune_magnitude.Config
    | prune_obd.Config
    | prune_obs.Config
    | prune_pattern.Config
    | prune_structured.Config
    | low_rank.Config
    | replace_conv.Config
    | cluster.Config
    | distill.Config
    | train.Config,
    Field(discriminator="method"),
]
