"""The tree, the chain and the paths of checkpoints, against the vectors of the reference."""

import hashlib
from dataclasses import replace
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from domain.checkpoint import EMPTY_ROOT, FIRST_CHAIN, Head, chained, leads_to, signed_form, tree

HEADS = [
    Head("7", 2, bytes.fromhex("8bd838e92bfe6e22b7583f2f19a9a951629b15dd9d7be1e83b8dd68384bcb76d")),
    Head("8", 3, hashlib.sha256(b"b").digest()),
    Head("12", 2, hashlib.sha256(b"c").digest()),
]
ROOT = "f7c6d35136fa1a10159a88101c7862898b7a105a72f84bea9273aaf75a748ae0"
CHAIN = "7f699a1e6dddaf689b2349b17f99895f97ce31d96f75c1281e888276f14658bb"


def leaves(count):
    return [hashlib.sha256(number.to_bytes(4, "big")).digest() for number in range(count)]


def split(level):
    """RFC 9162, 2.1.1, as it is written there: at the largest power of two below n."""
    if len(level) == 1:
        return level[0]
    at = 1 << (len(level) - 1).bit_length() - 1
    return hashlib.sha256(b"\x01" + split(level[:at]) + split(level[at:])).digest()


def test_the_golden_vector_of_a_root_and_of_a_chain():
    root, _ = tree([head.leaf() for head in HEADS])

    assert root.hex() == ROOT
    assert chained(FIRST_CHAIN, 1, datetime(2026, 11, 21, tzinfo=UTC), 3, root).hex() == CHAIN


def test_a_checkpoint_rests_on_the_one_before_it_and_on_each_of_its_parts():
    at, root = datetime(2026, 11, 21, tzinfo=UTC), bytes.fromhex(ROOT)
    later = datetime(2026, 11, 21, 0, 0, 0, 1, tzinfo=UTC)
    made = {
        chained(FIRST_CHAIN, 1, at, 3, root), chained(root, 1, at, 3, root),
        chained(FIRST_CHAIN, 2, at, 3, root), chained(FIRST_CHAIN, 1, later, 3, root),
        chained(FIRST_CHAIN, 1, at, 4, root), chained(FIRST_CHAIN, 1, at, 3, FIRST_CHAIN),
    }  # fmt: skip

    assert len(made) == 6


def test_every_part_of_a_head_is_in_its_leaf():
    head = HEADS[0]
    made = {
        head.leaf(), replace(head, book_id="8").leaf(), replace(head, seq=3).leaf(),
        replace(head, hash=bytes(32)).leaf(),
    }  # fmt: skip

    assert len(made) == 4


def test_what_is_signed_says_what_it_is():
    assert signed_form(3, bytes(32)) == (
        b"20:ledger-checkpoint-v1,1:3,64:" + b"0" * 64 + b","
    )  # fmt: skip


def test_no_leaves_have_the_root_of_the_standard():
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

    assert tree([]) == (EMPTY_ROOT, [])
    assert EMPTY_ROOT.hex() == empty


def test_one_leaf_is_its_own_root():
    leaf = HEADS[0].leaf()

    assert tree([leaf]) == (leaf, [b""])
    assert leads_to(leaf, leaf, place=0, count=1, path=b"")


@given(st.integers(1, 130))
def test_the_tree_has_the_shape_of_the_standard(count):
    assert tree(leaves(count))[0] == split(leaves(count))


@given(st.integers(1, 130), st.data())
def test_every_path_leads_to_the_root_and_no_other_leaf_or_place_does(count, data):
    listed = leaves(count)
    root, paths = tree(listed)
    place = data.draw(st.integers(0, count - 1))
    other = data.draw(st.integers(0, count - 1))
    path, named = paths[place], {"count": count, "path": paths[place]}

    assert leads_to(root, listed[place], place=place, **named)
    assert leads_to(root, listed[other], place=place, **named) == (other == place)
    assert leads_to(root, listed[place], place=other, **named) == (other == place)
    assert not leads_to(root, listed[place], place=place, count=count, path=path + bytes(32))
    assert not leads_to(root, listed[place], place=count, **named)
    assert not leads_to(root, listed[place], place=-1, **named)
    if path:
        assert not leads_to(root, listed[place], place=place, count=count, path=path[:-32])
        twisted = bytes([path[0] ^ 1]) + path[1:]
        assert not leads_to(root, listed[place], place=place, count=count, path=twisted)
