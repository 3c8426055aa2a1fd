"""Random TOML texts, valid or not, with everything that makes them hard to read."""

from __future__ import annotations

from hypothesis import strategies as st

BARE = st.text("abcXYZ019_-", min_size=1, max_size=4)
TRICKY = st.sampled_from(["a.b", "", "x@pve", "#no", "[t]", 'q"q', "ü", "a b", "back\\slash", "="])
NAMES = st.one_of(BARE, TRICKY)
BLANK = st.sampled_from(["", " ", "\t", "  "])
COMMENT = st.sampled_from(["", "# c", '# "', "# ]", "# '''", "#[[x]]"])
ATOMS = st.sampled_from(
    [
        "1", "-2.5", "true", "1979-05-27", "1979-05-27 07:32:00", "07:32:00", "inf", "0xDEAD_beef",
        '""', '"a"', "''", "'it'", '"[x]"', '"# no"', '"\\""', '"\\\\"', "'\\'", '"a = {"',
        '"""a"""', '""""quoted""""', '"""\n[no.table]\nk = 1\n"""', "'''\n]]\n'''", "''''x'''''",
        '"""\\\n   joined"""', '"""a\\"""b"""',
    ]
)  # fmt: skip


def quoted(name: str) -> str:
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


@st.composite
def keys(draw: st.DrawFn) -> str:
    name = draw(NAMES)
    if name and all(c in "abcdefghijklmnopqrstuvwxyzXYZ0123456789_-" for c in name):
        styles = [name, quoted(name), f"'{name}'"]
    elif "'" not in name:
        styles = [quoted(name), f"'{name}'"]
    else:
        styles = [quoted(name)]
    return draw(st.sampled_from(styles))


@st.composite
def arrays(draw: st.DrawFn, inner: st.SearchStrategy[str]) -> str:
    between = st.sampled_from(["", " ", "\n", "\n  # ], [\n", "\t"])
    parts = draw(st.lists(inner, max_size=3))
    text = "["
    for number, part in enumerate(parts):
        text += draw(between) + part + draw(between)
        text += "," if number + 1 < len(parts) or draw(st.booleans()) else ""
    return text + draw(between) + "]"


@st.composite
def inline_tables(draw: st.DrawFn, inner: st.SearchStrategy[str]) -> str:
    pairs = [f"{draw(keys())}{draw(BLANK)}= {draw(inner)}" for _ in range(draw(st.integers(0, 3)))]
    return "{" + draw(BLANK) + ", ".join(pairs) + draw(BLANK) + "}"


VALUES = st.recursive(ATOMS, lambda v: st.one_of(arrays(v), inline_tables(v)), max_leaves=6)


@st.composite
def documents(draw: st.DrawFn) -> str:
    lines = []
    for _ in range(draw(st.integers(0, 10))):
        dots = st.sampled_from([".", " . ", ".\t"])
        path = draw(dots).join(draw(st.lists(keys(), min_size=1, max_size=3)))
        match draw(st.sampled_from("tak#")):
            case "t":
                line = f"[{draw(BLANK)}{path}{draw(BLANK)}]"
            case "a":
                line = f"[[{path}]]"
            case "k":
                line = f"{path}{draw(BLANK)}={draw(BLANK)}{draw(VALUES)}"
            case _:
                line = ""
        lines.append(draw(BLANK) + line + draw(BLANK) + draw(COMMENT))
    return "\n".join(lines) + draw(st.sampled_from(["", "\n"]))
