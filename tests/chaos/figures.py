# From what streams and faults were to the tables that docs/recovery.md prints.


def percentile(values, p):
    """Nearest rank; 0 of nothing."""
    if not values:
        return 0.0
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, -(-len(ordered) * p // 100) - 1))]


def interruptions(fault, answers, reach_s=5.0):
    """Of each stream under way when it struck: the longest silence that reaches into the time after it, less
    what the stream usually needs between two events."""
    out = []
    for answer in answers:
        times = [answer.began, *answer.times]
        if not times or times[-1] < fault.struck or answer.began > fault.struck:
            continue
        gaps = [(b - a, a, b) for a, b in zip(times, times[1:])]
        usual = percentile([gap for gap, _, _ in gaps], 50)
        hit = [gap for gap, a, b in gaps if b >= fault.struck and a <= fault.struck + reach_s]
        if hit:
            out.append(max(0.0, max(hit) - usual))
    return out


def table(faults, answers):
    lines = ["| fault | how often | streams under way | interruption p50 ms | p99 ms | max ms |", "|---|---|---|---|---|---|"]
    for kind in dict.fromkeys(f.kind for f in faults):
        mine = [f for f in faults if f.kind == kind]
        hit = [ms * 1000 for f in mine for ms in interruptions(f, answers)]
        lines.append(f"| {kind} | {len(mine)} | {len(hit)} | {percentile(hit, 50):.0f} | {percentile(hit, 99):.0f} "
                     f"| {max(hit, default=0):.0f} |")
    return "\n".join(lines)
