from hypothesis import given
from hypothesis import strategies as st

from proxy.core.keepsakes import MOST, Drawer, Keepsakes, Note, packed, unpacked

NOTES = st.lists(
    st.builds(Note, st.sampled_from(list(Drawer)), st.text(max_size=5), st.binary(max_size=20))
)


def kept(keepsakes: Keepsakes) -> list[Note]:
    return [note for packet in keepsakes.packets() for note in unpacked(packet)]


@given(notes=NOTES)
def test_a_packet_holds_exactly_what_was_packed(notes: list[Note]) -> None:
    assert list(unpacked(packed(notes))) == notes


@given(notes=NOTES, more=NOTES)
def test_the_last_note_of_each_name_is_kept_within_bounds(
    notes: list[Note], more: list[Note]
) -> None:
    keepsakes = Keepsakes()
    keepsakes.take(packed(notes))
    keepsakes.take(packed(more))

    last = {(note.drawer, note.key): note for note in (*notes, *more)}
    found = kept(keepsakes)
    assert len({(note.drawer, note.key) for note in found}) == len(found)
    assert all(last[note.drawer, note.key] == note for note in found)
    for drawer in Drawer:
        names = sum(name == drawer for name, _ in last)
        assert sum(note.drawer is drawer for note in found) == min(names, MOST[drawer])


def test_the_oldest_go_first_and_what_is_said_anew_is_new() -> None:
    keepsakes, most = Keepsakes(), MOST[Drawer.OTHERS]
    keepsakes.take(packed(Note(Drawer.OTHERS, f"{n}", b"") for n in range(most)))
    keepsakes.take(packed([Note(Drawer.OTHERS, "0", b"again"), Note(Drawer.OTHERS, "new", b"")]))

    names = [note.key for note in kept(keepsakes)]
    assert names == [*(f"{n}" for n in range(2, most)), "0", "new"]


def test_much_goes_in_several_packets() -> None:
    keepsakes = Keepsakes()
    keepsakes.take(packed(Note(Drawer.SLOTS, f"0.{n}", bytes(400_000)) for n in range(9)))

    packets = list(keepsakes.packets())
    assert len(packets) == 5
    assert max(map(len, packets)) < 1 << 20
    assert [note.key for note in kept(keepsakes)] == [f"0.{n}" for n in range(9)]
