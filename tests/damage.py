"""Damage to the bytes of a file, at random."""

from hypothesis import strategies as st

DAMAGE = st.lists(
    st.tuples(st.floats(0, 1), st.integers(0, 255), st.sampled_from(['set', 'cut', 'zeros'])),
    min_size=1,
    max_size=4,
)


def damaged(content, damage):
    content = bytearray(content)
    for place, value, how in damage:
        index = int(place * (len(content) - 1)) if content else 0
        if how == 'cut':
            content = content[: index + 1]
        elif how == 'zeros':
            content[index : index + 40] = bytes(len(content[index : index + 40]))
        else:
            content[index] = value
    return bytes(content)
