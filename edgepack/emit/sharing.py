"""Which calls share one copy of a kernel's code: specialised code is fast, shared code is small.

A specialised kernel knows all its parameters at compile time. A shared copy serves several layers:
what is equal in all of them stays a compile-time constant, the rest is read from a small table of
each layer. Layers only share where their structural parameters (Params.structural) are equal, so
that a shared copy does not carry the code of cases that its layers do not have.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from edgepack.ops.shared.base import NodeView
from edgepack.ops.shared.kernel import Arg, KernelCall, Lowered, Params

# `balanced` specialises the layers that take at least this share of the estimated instructions.
_HOT_SHARE = 1 / 16
# Instructions that an output element costs besides its multiply-accumulates (requantization and
# store); measured at 15 to 25 on Cortex-M4 for the int8 kernels.
_OUTPUT_COST = 20


@dataclass(frozen=True)
class SharedParams(Params):
    """Parameters of a call whose code is shared: `varying` fields come from a table."""

    varying: tuple[str, ...] = ()

    def table(self) -> tuple[int, ...]:
        """The values of the varying fields."""
        values = dict(self.fields)
        return tuple(int(values[name]) for name in self.varying)  # type: ignore[arg-type]


def share_code(
    views: Sequence[NodeView], lowered: Sequence[Lowered], optimize: str
) -> tuple[Lowered, ...]:
    """Mark the parameters of calls that are to share a kernel's code.

    Args:
        optimize: `speed` specialises every call; `size` shares wherever it can; `balanced` and
            `ram` share kernels of little weight in the whole.
    """
    cost = [_cost(v, c) for v, c in zip(views, lowered, strict=True)]
    limit = {"speed": 0.0, "size": float("inf")}.get(optimize, sum(cost) * _HOT_SHARE)
    groups: dict[tuple[object, ...], list[int]] = {}
    for position, call in enumerate(lowered):
        key = _group_key(call)
        if key is not None and (cost[position] < limit or _cheap(call, optimize)):
            groups.setdefault(key, []).append(position)
    result = list(lowered)
    for positions in groups.values():
        calls = [c for c in (lowered[p] for p in positions) if isinstance(c, KernelCall)]
        calls = _without_partial_shortcuts(calls)
        varying = _varying(_params(call) for call in calls)
        if len(calls) > 1 and varying:
            for position, call in zip(positions, calls, strict=True):
                result[position] = _shared(call, varying)
    return tuple(result)


def _cost(view: NodeView, call: Lowered) -> float:
    if not isinstance(call, KernelCall):
        return 0.0
    return call.macs + _OUTPUT_COST * sum(t.elements for t in view.outputs)


def _cheap(call: Lowered, optimize: str) -> bool:
    return isinstance(call, KernelCall) and call.cheap_to_share and optimize != "speed"


def _params(call: KernelCall) -> Params:
    return next(a for a in call.args if isinstance(a, Params))


def _group_key(call: Lowered) -> tuple[object, ...] | None:
    """What calls must have in common to share code; None for a call that never shares."""
    if not isinstance(call, KernelCall) or sum(isinstance(a, Params) for a in call.args) != 1:
        return None
    params = _params(call)
    if not params.structural or not all(isinstance(v, int) for _, v in params.fields):
        return None
    values = dict(params.fields)
    kinds = tuple(type(a).__name__ for a in call.args)
    return (call.function, params.ctype, kinds, *(values[name] for name in params.structural))


def _without_partial_shortcuts(calls: list[KernelCall]) -> list[KernelCall]:
    """Switch off the optional shortcuts that not all calls of a group can take."""
    off = {
        name
        for name in _params(calls[0]).optional
        if not all(dict(_params(call).fields)[name] for call in calls)
    }
    if not off or len(calls) == 1:
        return calls
    return [replace(call, args=tuple(_switch_off(a, off) for a in call.args)) for call in calls]


def _switch_off(arg: Arg, names: set[str]) -> Arg:
    if not isinstance(arg, Params):
        return arg
    fields = tuple((name, False if name in names else value) for name, value in arg.fields)
    return replace(arg, fields=fields)


def _varying(group: Iterable[Params]) -> tuple[str, ...]:
    """The names of the fields that are not equal in all of the group."""
    columns = zip(*(params.fields for params in group), strict=True)
    return tuple(column[0][0] for column in columns if len({v for _, v in column}) > 1)


def _shared(call: KernelCall, varying: tuple[str, ...]) -> KernelCall:
    args = tuple(
        SharedParams(a.ctype, a.fields, a.structural, a.optional, varying)
        if isinstance(a, Params)
        else a
        for a in call.args
    )
    return replace(call, args=args, reason=f"{call.reason}; shared code")
