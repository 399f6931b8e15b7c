# From what streams and faults were to the tables that docs/recovery.md prints.


def percentile(values, p):
    """Nearest rank; 0 of nothing."""
    if not values:
        return 0.0
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, -(-len(ordered) * p // 100) - 1))]


def interruptions(fault, answers, reach_s=5.0):
    """Of each stream under way when it struck: the longest silence that reaches into the time after it, less
    what the stream usually needs between two events. Two lists: streams of other doors, and of the node struck."""
    elsewhere, own = [], []
    for answer in answers:
        times = [answer.began, *answer.times]
        if not times or times[-1] < fault.struck or answer.began > fault.struck:
            continue
        gaps = [(b - a, a, b) for a, b in zip(times, times[1:])]
        usual = percentile([gap for gap, _, _ in gaps], 50)
        hit = [gap for gap, a, b in gaps if b >= fault.struck and a <= fault.struck + reach_s]
        if hit:
            (own if answer.door_at(fault.struck) == fault.url else elsewhere).append(max(0.0, max(hit) - usual))
    return elsewhere, own


def worst_ms(seconds):
    return f"{max(seconds, default=0) * 1000:.0f}"


def lines(faults, answers, names):
    """One per fault, for whoever looks for the reason of a long one."""
    for fault in faults:
        elsewhere, own = interruptions(fault, answers)
        who = "one more" if fault.kind == "join" else names[fault.node]
        yield (f"{fault.clock} {fault.kind} {who} for {fault.lasts_s:.2f} s: {len(elsewhere)} + {len(own)} "
               f"streams, interrupted {worst_ms(elsewhere)} and, at its own door, {worst_ms(own)} ms at most; all well after {fault.well - fault.struck:.2f} s")


def table(faults, answers):
    rows = ["| fault | how often | door | streams under way | interruption p50 ms | p99 ms | max ms |", "|---|---|---|---|---|---|---|"]
    for kind in dict.fromkeys(f.kind for f in faults):
        mine = [f for f in faults if f.kind == kind]
        for place, door in enumerate(("of another node", "of this node")):
            hit = [seconds * 1000 for f in mine for seconds in interruptions(f, answers)[place]]
            rows.append(f"| {kind} | {len(mine)} | {door} | {len(hit)} | {percentile(hit, 50):.0f} "
                        f"| {percentile(hit, 99):.0f} | {max(hit, default=0):.0f} |")
    return "\n".join(rows)


def quarters(samples, names):
    """Medians over the quarters of a run of what every node uses: rows of a table, and who uses ever more.

    Samples are {node: (resident KiB, descriptors)}. More is a tenth and 16 MiB, or 16 descriptors, beyond the
    second quarter.
    """
    rows, more = ["| node | resident MiB, by quarters of the run | descriptors |", "|---|---|---|"], []
    for name in names:
        cut = [[s[name] for s in samples[len(samples) * q // 4:len(samples) * (q + 1) // 4] if name in s] for q in range(4)]
        resident, descriptors = ([percentile([use[what] for use in part], 50) for part in cut] for what in (0, 1))
        rows.append(f"| {name} | {', '.join(f'{kib / 1024:.0f}' for kib in resident)} | {', '.join(f'{n:.0f}' for n in descriptors)} |")
        if resident[3] > 1.1 * resident[1] + 16 * 1024:
            more.append(f"{name} takes ever more memory: {resident[1]:.0f} KiB, then {resident[3]:.0f} KiB")
        if descriptors[3] > descriptors[1] + 16:
            more.append(f"{name} takes ever more descriptors: {descriptors[1]:.0f}, then {descriptors[3]:.0f}")
    return "\n".join(rows), more
