"""What `bench --bisect` found, in words."""

from __future__ import annotations

from edgepack.bench.bisect import Findings, missing_reference


def finding_lines(findings: Findings, function: str | None, reason: str | None) -> list[str]:
    """The text for people, a line each."""
    compared = ", ".join(f"{n:,} with {name}" for name, n in sorted(findings.compared.items()))
    total = sum(findings.compared.values())
    head = f"{findings.samples} samples, {findings.layers} layers, {total:,} tensors compared"
    lines = [f"{head} ({compared})" if compared else head]
    missing = missing_reference(findings)
    if missing is not None:
        lines.append(f"note: {missing}")
    first = findings.first
    if first is None:
        lines.append(
            "every tensor that was compared is right" if missing else "every tensor is right"
        )
        return lines
    where = f"layer {first.layer} of {findings.layers}, {first.op}"
    lines += [
        f"the first tensor that differs: {first.tensor.name}, {where}, sample {first.sample}",
        f"  kernel   {first.kernel}" + (f" as {function}" if function else ""),
        f"  element  {first.index} {list(first.position)}: got {first.actual}, expected "
        f"{first.expected} ({first.against})",
        f"  differ   {first.differing:,} of {first.elements:,} elements; every tensor before is "
        "right",
    ]
    if reason:
        lines.insert(-2, f"  chosen   {reason}")
    if not first.repeated:
        lines.append("  the device gave other bytes when it ran the sample again: look for memory")
        lines.append("  that is used before it is set, or a broken power supply")
    return lines
