"""Read a run's scalars from TensorBoard's files, and draw them over its steps as SVG."""

from html import escape
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

Curve = list[tuple[int, float]]
_COLORS = ("#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e", "#17becf", "#8c564b", "#7f7f7f")
_WIDTH, _HEIGHT, _MARGIN, _LINE = 640, 240, 60, 16


def read_curves(folder: str | Path) -> dict[str, Curve]:
    """Every scalar below the run's folder, by tag, as (step, value) in order of step."""
    curves: dict[str, dict[int, float]] = {}
    for file in sorted(Path(folder).rglob("events.out.tfevents.*")):
        # 0 keeps all entries.
        events = EventAccumulator(str(file), size_guidance={"scalars": 0}).Reload()
        for tag in events.Tags()["scalars"]:
            curves.setdefault(tag, {}).update({event.step: event.value for event in events.Scalars(tag)})
    return {tag: sorted(values.items()) for tag, values in sorted(curves.items())}


def draw_curves(curves_by_run: dict[str, dict[str, Curve]]) -> str:
    """An SVG with one panel per tag that at least one run has, and one line per run."""
    tags = sorted({tag for curves in curves_by_run.values() for tag in curves})
    legend = _LINE * (len(curves_by_run) + 1)
    parts = [
        f'<text x="{_MARGIN}" y="{_LINE * (row + 1)}" fill="{_color(row)}">{escape(run)}</text>'
        for row, run in enumerate(curves_by_run)
    ]
    for row, tag in enumerate(tags):
        lines = {index: curves[tag] for index, curves in enumerate(curves_by_run.values()) if curves.get(tag)}
        parts.append(f'<g transform="translate(0 {legend + row * _HEIGHT})">{_panel(tag, lines)}</g>')
    height = legend + _HEIGHT * len(tags)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}" '
        f'font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="white"/>'
        f"{''.join(parts)}</svg>\n"
    )


def _panel(tag: str, lines: dict[int, Curve]) -> str:
    points = [point for curve in lines.values() for point in curve]
    steps, values = [step for step, _ in points], [value for _, value in points]
    left, right, top, bottom = _MARGIN, _WIDTH - 10, _LINE + 4, _HEIGHT - 2 * _LINE

    def place(value: float, low: float, high: float, start: int, end: int) -> str:
        return f"{start + (value - low) / ((high - low) or 1) * (end - start):.1f}"

    drawn = [
        f'<text x="{left}" y="{_LINE}" font-weight="bold">{escape(tag)}</text>',
        f'<path d="M{left} {top}V{bottom}H{right}" fill="none" stroke="#999"/>',
        f'<text x="{left - 4}" y="{top + 8}" text-anchor="end">{max(values):.4g}</text>',
        f'<text x="{left - 4}" y="{bottom}" text-anchor="end">{min(values):.4g}</text>',
        f'<text x="{left}" y="{bottom + _LINE}">{min(steps)}</text>',
        f'<text x="{right}" y="{bottom + _LINE}" text-anchor="end">step {max(steps)}</text>',
    ]
    for index, curve in lines.items():
        path = " ".join(
            f"{place(step, min(steps), max(steps), left, right)},{place(value, min(values), max(values), bottom, top)}"
            for step, value in curve
        )
        drawn.append(f'<polyline points="{path}" fill="none" stroke="{_color(index)}" stroke-width="1.5"/>')
    return "".join(drawn)


def _color(index: int) -> str:
    return _COLORS[index % len(_COLORS)]
