# SPDX-License-Identifier: Apache-2.0
"""One curve as an SVG: a logarithmic axis across, one from 0 upwards, lines through medians with their range."""
import math
import statistics

WIDTH, HEIGHT = 460, 280
LEFT, RIGHT, TOP, BOTTOM = 52, 16, 34, 46
COLOURS = ("#1b1b1b", "#d1495b", "#2e6f95", "#6a994e")


def number(value):
    for size, unit in (1e6, "M"), (1e3, "k"):
        if value >= size:
            return f"{value / size:g}{unit}"
    return f"{value:g}"


def steps(most):
    """Round values from 0 to at least `most`, four to eight of them."""
    step = 10 ** math.floor(math.log10(most / 4))
    while most / step > 8:
        step *= 2 if most / step <= 16 else 2.5 if most / step <= 20 else 5
    return [i * step for i in range(math.ceil(most / step) + 1)]


def text(x, y, what, anchor="middle", size=11, more=""):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}"{more}>{what}</text>'


def draw(title, across, upwards, lines):
    """lines: {name: {x: [values]}}; returns the file's text."""
    xs = sorted({x for line in lines.values() for x in line})
    marks = steps(max(max(v) for line in lines.values() for v in line.values()) * 1.05)
    low, high = math.log10(xs[0]), math.log10(xs[-1])

    def at_x(x):
        return LEFT + (math.log10(x) - low) / ((high - low) or 1) * (WIDTH - LEFT - RIGHT)

    def at_y(y):
        return HEIGHT - BOTTOM - y / marks[-1] * (HEIGHT - TOP - BOTTOM)

    out = ["<!-- SPDX-License-Identifier: Apache-2.0 -->",
           f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
           'font-family="sans-serif" fill="#1b1b1b">',
           f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
           text(LEFT, 16, title, "start", 13)]
    for m in marks:
        out.append(f'<path d="M{LEFT} {at_y(m):.1f}H{WIDTH - RIGHT}" stroke="#dddddd"/>')
        out.append(text(LEFT - 6, at_y(m) + 4, number(round(m, 6)), "end"))
    for x in xs:
        out.append(text(at_x(x), HEIGHT - BOTTOM + 16, number(x)))
    out.append(text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 10, across))
    out.append(text(13, (TOP + HEIGHT - BOTTOM) / 2, upwards,
                    more=f' transform="rotate(-90 13 {(TOP + HEIGHT - BOTTOM) / 2:.1f})"'))
    for i, (name, line) in enumerate(lines.items()):
        colour = COLOURS[i % len(COLOURS)]
        points = [(at_x(x), at_y(statistics.median(v))) for x, v in sorted(line.items())]
        for x, v in line.items():
            out.append(f'<path d="M{at_x(x):.1f} {at_y(min(v)):.1f}V{at_y(max(v)):.1f}" stroke="{colour}" '
                       'stroke-opacity="0.4"/>')
        out.append(f'<polyline points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in points)}" fill="none" '
                   f'stroke="{colour}" stroke-width="{1.5 if i else 2.5}"/>')
        out += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5" fill="{colour}"/>' for x, y in points]
        out.append(text(WIDTH - RIGHT - 62 * (len(lines) - i - 1), 28, name, "end", 11, f' style="fill:{colour}"'))
    return "\n".join([*out, "</svg>", ""])
