# SPDX-License-Identifier: GPL-2.0
"""What our packets may cost, in instructions over the zero line."""

import json

TOLERANCE = 0.02
LOOSE = {"first-100": 0.1}      # where answers, limited by the clock, are in the figure
SLACK = 15                      # instructions that no tolerance is less than
ESTABLISHED = [f"{proto}-{way}-{flows}" for proto in ("udp", "tcp") for flows in (1, 512)
               for way in ("c2s", "s2c")]
ROWS = [*ESTABLISHED, "foreign", "gso", "connection", "synack", "badack", "first", "first-50",
        "first-90", "first-95", "first-99", "first-100"]
COLUMNS = ["hook-accept:foreign", "ours"]
BUDGET = {**{row: 1600 for row in ESTABLISHED}, "first": 5000, "synack": 1800, "badack": 1000}
FOREIGN = 60                    # to see that a packet is not ours, over an empty hook
FLAT = 1.05                     # first packets at 95 % of the ports over those at 50 %


def cost(found, row, column="ours"):
    """The figure of a cell, or None."""
    cell = found["rows"].get(row, {"cells": {}})["cells"].get(column)
    return cell and cell["value"]


def excesses(found):
    """Sentences about what is over its budget, or has no figure."""
    for row in ROWS:
        if cost(found, row) is None:
            yield f"{row}: there is no figure; why, stands in the table above"
            return
    for row, most in BUDGET.items():
        now = cost(found, row)
        if now > most + SLACK:
            yield f"{row}: {now:,.0f} instructions, more than its budget of {most:,}"
    over = cost(found, "foreign") - cost(found, "foreign", "hook-accept")
    if over > FOREIGN:
        yield f"foreign: {over:,.0f} instructions over an empty hook, more than {FOREIGN}"
    if cost(found, "first-95") > cost(found, "first-50") * FLAT:
        yield "first-95: dearer than first-50: allocation is not flat"


def judge(found, stored):
    """Compare with the file STORED and the budgets, print, and return whether all is well."""
    wrong = list(excesses(found))
    old = json.loads(stored.read_text()) if stored.exists() else None
    now = found["columns"]["ours"]
    comparable = old and all(old["columns"]["ours"][k] == now[k] for k in ("kernel", "compiler"))
    if not comparable:
        print("The stored figures are of another kernel or compiler: only budgets are judged.")
    better = []
    for row in ROWS if comparable else []:
        was, is_ = cost(old, row), cost(found, row)
        if was is None or is_ is None:
            continue
        room = max(was * LOOSE.get(row, TOLERANCE), SLACK)
        if is_ > was + room:
            wrong.append(f"{row}: {is_:,.0f} instructions, stored {was:,.0f}")
        elif is_ < was - room:
            better.append(f"{row}: {is_:,.0f} instructions, stored {was:,.0f}")
    if better:
        print("Better than stored; `make bench-refresh T='instructions ours'`"
              " stores it:\n  " + "\n  ".join(better))
    if wrong:
        print("Too dear:\n  " + "\n  ".join(wrong))
    return not wrong
