"""Puts the table and the plot of a run into docs/performance.md, between two marks; the words around them are people's."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from bench.plot import bars, speed_rows

BEGIN: Final = "<!-- written by make bench: begin -->"
END: Final = "<!-- written by make bench: end -->"
_WORDS: Final = ("delivered", "deferred", "bounced")


def write(page: Path, results: Mapping[str, Any], mine: str) -> None:
    """Replace what is between the marks, and the plot beside the page."""
    text = page.read_text(encoding="utf-8")
    before, begun, rest = text.partition(BEGIN)
    _, ended, after = rest.partition(END)
    if not begun or not ended:
        raise ValueError(f"{page} has no marks {BEGIN} and {END}")
    page.write_text(f"{before}{BEGIN}\n{table(results)}\n{END}{after}", encoding="utf-8")
    title = f"Lines a second, {results['lines']:,} lines (median; line: least to most)"
    chart = bars(title, speed_rows(results["contestants"], "split"), mine)
    page.with_suffix(".svg").write_text(chart, encoding="utf-8")


def table(results: Mapping[str, Any]) -> str:
    """Return the results as Markdown."""
    machine = results["machine"]
    lines = [
        f"{results['lines']:,} lines, {results['bytes'] / 1e6:,.0f} MB; {machine['cores']} x {machine['processor']}, "
        f"Python {machine['python']}; load at the end {machine['load_at_end']:.1f}.",
        "",
        "| | rounds | lines/s | least - most | CPU s | peak MiB | pwmtad is | least - most |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, row in results["contestants"].items():
        speed = f"{row['lines_per_s_min']:,.0f} - {row['lines_per_s_max']:,.0f}"
        times = row.get("pwmtad_times_faster")
        ratio = "" if times is None else f"{times[0]:.2f}x"
        spread = "" if times is None else f"{times[1]:.2f} - {times[2]:.2f}"
        lines.append(
            f"| {name} | {row['rounds']} | {row['lines_per_s']:,.0f} | {speed} | {row['cpu_s']:.1f} | {row['peak_mib']:.0f} "
            f"| {ratio} | {spread} |"
        )
    lines += ["", "![lines a second](performance.svg)", "", f"| counted | {' | '.join(_WORDS)} | difference from the truth |"]
    lines.append("|---|---|---|---|---|")
    for name, row in results["contestants"].items():
        if counted := row.get("counted"):
            cells = " | ".join(f"{counted[word]:,}" for word in _WORDS)
            differences = ", ".join(f"{counted[word] - row['truth'][word]:+,}" for word in _WORDS)
            lines.append(f"| {name} | {cells} | {differences} |")
    return "\n".join(lines)
