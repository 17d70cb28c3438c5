"""The tables of `benches/compare/run`, as Markdown, from two files of cells that the rig wrote: `tables.py COLD WARM`."""

import json
import statistics
import sys
from collections import defaultdict
from pathlib import Path

TARGETS = ("rerankd", "nginx", "floor", "bare-axum", "sglang-router", "litellm-1w", "litellm-1w-cache")
SIZES = ("10", "100", "1000")
LABELS = tuple(f"{int(size):,}" for size in SIZES)
# The others ask the upstream, which takes 20 ms in that suite: their rates say nothing of them.
ANSWERS_ALONE = ("rerankd", "floor", "bare-axum", "litellm-1w-cache")


def read(path):
    """Cells by scenario and target, and the reasons why targets were left out."""
    cells = defaultdict(lambda: defaultdict(list))
    left_out = {}
    for line in Path(path).read_text().splitlines():
        row = json.loads(line)
        if "meta" in row:
            left_out = row["meta"]["skipped"]
        elif "ms" in row:
            cells[row["scenario"]][row["target"]].append(row)
    return cells, left_out


def median(rows, figure):
    return statistics.median(figure(row) for row in rows)


def rate(rows):
    return median(rows, lambda row: row["rps"])


def median_latency(rows):
    return median(rows, lambda row: row["ms"]["p50"])


def processor_time(rows):
    """Microseconds a request."""
    return median(rows, lambda row: 1e6 * row["gw_cpu_s"] / max(row["done"], 1))


def saved(rows):
    """Share of the documents that did not reach the upstream, in percent."""
    return 100 * (1 - sum(row["up_docs"] for row in rows) / max(1, sum(row["docs_sent"] for row in rows)))


def number(value, digits=0):
    return "" if value is None else f"{value:,.{digits}f}"


def table(header, rows):
    print("| " + " | ".join(header) + " |")
    print("|" + " --- |" * len(header))
    for cells in rows:
        print("| " + " | ".join(cells) + " |")
    print()


def cost(cold):
    """One connection, every pair new: what a hop adds."""
    rows = []
    for target in TARGETS:
        figures = [cold[f"seq-{size}"].get(target) for size in SIZES]
        if any(figures):
            direct = [median_latency(cold[f"seq-{size}"]["direct"]) for size in SIZES]
            added = [cells and median_latency(cells) - base for cells, base in zip(figures, direct)]
            times = [cells and processor_time(cells) for cells in figures]
            rows.append([target, *(number(value) for value in times), *(number(value, 2) for value in added)])
    table(["one connection", *(f"CPU µs a request, {size}" for size in LABELS), *(f"added p50 ms, {size}" for size in LABELS)], rows)


def capacity(cold, warm):
    """Many connections: what one core carries, with which memory, and what it spares the upstream."""
    rows = []
    for target in TARGETS:
        figures = [cold[f"max-{size}"].get(target) for size in SIZES]
        every = [cells[target] for cells in (*cold.values(), *warm.values()) if target in cells]
        if every:
            peak = max(row["peak_rss_mb"] for rows_of_scenario in every for row in rows_of_scenario)
            shares = [warm[name].get(target) and saved(warm[name][target]) for name in ("overlap-100", "same-100")]
            if target in ("floor", "bare-axum"):
                shares = [None, None]  # they have no upstream
            rates = [number(cells and rate(cells)) for cells in figures]
            rows.append([target, *rates, number(peak), *(number(share, 1) for share in shares)])
    table(["many connections", *(f"requests/s, {size}" for size in LABELS), "peak MB", "saved %, four of five known", "saved %, all known"], rows)


def known(warm):
    """All pairs known: beside handlers that have no upstream."""
    rows = []
    for target in ANSWERS_ALONE:
        cells = [target]
        for name in ("same-100", "same-1000"):
            own, floor = warm[name].get(target), warm[name].get("floor")
            cells += [number(own and rate(own)), number(own and floor and rate(own) / rate(floor), 2), number(own and processor_time(own))]
        if any(cells[1:]):
            rows.append(cells)
    sizes = LABELS[1:]
    table(["all known", *(name for size in sizes for name in (f"requests/s, {size}", f"of floor, {size}", f"CPU µs a request, {size}"))], rows)


def main():
    cold, left_out_of_cold = read(sys.argv[1])
    warm, left_out_of_warm = read(sys.argv[2])
    cost(cold)
    capacity(cold, warm)
    known(warm)
    errors = {target: 0 for target in TARGETS}
    for cells in (*cold.values(), *warm.values()):
        for target, rows in cells.items():
            errors[target] = errors.get(target, 0) + sum(row["errors"] for row in rows)
    found = [f"{target} {count}" for target, count in errors.items() if count]
    print("Wrong or failed answers: " + (", ".join(found) if found else "none") + ".")
    for target, reason in {**left_out_of_cold, **left_out_of_warm}.items():
        print(f"Left out: {target} ({reason}).")


if __name__ == "__main__":
    main()
