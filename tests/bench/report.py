# SPDX-License-Identifier: GPL-2.0
"""Turns figures into tables, plots and docs/performance.md."""

import json
import os
import pathlib

HERE = pathlib.Path(__file__).resolve().parent
DOCS = HERE.parents[1] / "docs"
LENSES = ("instructions", "native", "systems")

COLOURS = {"ours": "#d62728", "forward": "#444444", "hook-drop": "#c7c7c7", "drop": "#c7c7c7",
           "flowtable": "#2ca02c", "nft": "#1f77b4", "ipvs": "#ff9f2e", "ipvs-snat": "#9467bd",
           "synproxy": "#17becf", "haproxy": "#8c564b", "nginx": "#bcbd22"}

HEAD = """<!-- SPDX-License-Identifier: GPL-2.0 -->
<!-- Written by tests/bench/run; what is changed by hand is lost. -->

# Performance

`make bench` measures this module beside its peers on one kernel, in three lenses;
`make bench-refresh` stores what it found and writes docs/performance.md. [tests/bench]({bench})
says how each figure comes about.
"""


def path_of(lens, where=DOCS):
    """Where the figures of LENS lie, if the page is in WHERE."""
    return where / "performance" / f"{lens}.json"


def save(found, where):
    """Write FOUND as JSON that diffs well."""
    path = path_of(found["lens"], where)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found, indent=1) + "\n")


def shown(cell):
    """A cell as words."""
    if cell is None:
        return ""
    if cell["value"] is None:
        return cell["note"]
    return f"{cell['value']:,.0f}"


def text(found):
    """FOUND for a terminal: a block of peers for each row."""
    lines = [f"\n{found['lens']}: {found['unit']}"]
    for row in found["rows"].values():
        lines.append(f"\n{row['title']} (per {row['per']})")
        for column, cell in row["cells"].items():
            note = f"   {cell['note']}" if "note" in cell and cell["value"] is not None else ""
            lines.append(f"  {found['columns'][column]['title']:<32}{shown(cell):>12}{note}")
    return "\n".join(lines)


def markdown(found):
    """The table of a lens, and below it what a cell has to say beside its figure."""
    columns, notes = ordered(found), []
    lines = ["| | " + " | ".join(found["columns"][c]["title"] for c in columns) + " |",
             "|---" * (len(columns) + 1) + "|"]
    for row in found["rows"].values():
        cells = [row["cells"].get(c) for c in columns]
        lines.append(f"| {row['title']} | " + " | ".join(map(shown, cells)) + " |")
        notes += [f"- {row['title']}, {found['columns'][c]['title']}: {cell['note']}"
                  for c, cell in zip(columns, cells)
                  if cell and "note" in cell and cell["value"] is not None]
    return "\n".join(lines + [""] + notes)


def ordered(found):
    """Its columns as they were measured, ours last."""
    return sorted(found["columns"], key=lambda c: (c.startswith("ours"), found["columns"][c]["place"]))


def sources(found):
    """On what the columns were measured; those of one run in one line."""
    runs = {}
    for column in ordered(found):
        c = found["columns"][column]
        what = (f"kernel {c['kernel']}, commit {c['commit']}, {c['date']}, on {c['machine']},"
                f" gcc {c['compiler']}")
        runs.setdefault(what, []).append(c["title"])
    return "\n".join(f"Measured with {what}: {', '.join(titles)}." for what, titles in runs.items())


def plot(found, picture, path):
    """One SVG; the same figures give the same bytes."""
    import matplotlib  # pylint: disable=import-outside-toplevel
    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.hashsalt": "ipvs-fullnat", "font.size": 9})
    import matplotlib.pyplot as plt  # pylint: disable=import-outside-toplevel
    figure, axes = plt.subplots(layout="constrained", figsize=(10, picture.get("height", 4.5)))
    (lines if picture["kind"] == "lines" else bars)(axes, found, picture)
    axes.set_title(picture["title"])
    axes.grid(alpha=0.3)
    axes.set_axisbelow(True)
    axes.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1.01, 1))
    figure.savefig(path, metadata={"Date": None, "Creator": None})
    plt.close(figure)


def value(found, row, column):
    """A figure, or None where there is none."""
    cell = found["rows"].get(row, {"cells": {}})["cells"].get(column)
    return cell and cell["value"]


def drawn(found, picture):
    """The columns that have a figure in this picture."""
    return [c for c in ordered(found) if c not in picture.get("without", ())
            and any(value(found, row, c) is not None for row in picture["rows"])]


def measured(found, picture):
    """PICTURE of the rows that were measured, or None if there is nothing to see."""
    wanted = [row in found["rows"] for row in picture["rows"]]
    picture = picture | {key: [v for v, w in zip(picture[key], wanted) if w]
                         for key in ("rows", "x") if key in picture}
    return picture if drawn(found, picture) else None


def bars(axes, found, picture):
    """Groups of bars, a group for each row."""
    columns = drawn(found, picture)
    wide = 0.8 / len(columns)
    for i, column in enumerate(columns):
        got = [(y + i * wide, value(found, row, column)) for y, row in enumerate(picture["rows"])]
        got = [(y, v) for y, v in got if v is not None]
        axes.barh([y for y, _ in got], [v for _, v in got], wide * 0.9, color=colour(column),
                  label=found["columns"][column]["title"])
    axes.set_yticks([y + 0.4 - wide / 2 for y in range(len(picture["rows"]))],
                    [found["rows"][row]["title"] for row in picture["rows"]])
    axes.invert_yaxis()
    axes.set_xlabel(picture["axis"])


def lines(axes, found, picture):
    """A line for each column, over what the rows stand for."""
    for column in drawn(found, picture):
        got = [(x, value(found, row, column)) for x, row in zip(picture["x"], picture["rows"])]
        got = [(x, v) for x, v in got if v is not None]
        axes.plot([x for x, _ in got], [v for _, v in got], "o-", color=colour(column),
                  label=found["columns"][column]["title"])
    if picture.get("log"):
        axes.set_xscale("log")
    axes.set_ylim(bottom=0)
    axes.set_xlabel(picture["over"])
    axes.set_ylabel(picture["axis"])


def colour(column):
    """Each column has its own in every plot; variants are paler, ours stands out."""
    name = column.removesuffix("-defaults").removesuffix("-synproxy").removesuffix("-ahead")
    shade = COLOURS.get(name, "#7f7f7f")
    return shade if name == column else shade + "70"


def write(lenses, where):
    """WHERE/performance.md and its plots, from the figures there; LENSES by name."""
    page = [HEAD.format(bench=os.path.relpath(HERE / "README.md", where))]
    for name, lens in lenses.items():
        path = path_of(name, where)
        if not path.exists():
            page.append(f"## {lens.TITLE}\n\nNot measured yet.\n")
            continue
        found = json.loads(path.read_text())
        page += [f"## {lens.TITLE}\n", lens.ABOUT, "", sources(found), ""]
        for i, picture in enumerate(lens.PICTURES, 1):
            picture = measured(found, picture)
            if picture:
                plot(found, picture, path.parent / f"{name}-{i}.svg")
                page.append(f"![{picture['title']}](performance/{name}-{i}.svg)\n")
        page += [f"In {found['unit']}:\n", markdown(found), ""]
    (where / "performance.md").write_text("\n".join(page))
