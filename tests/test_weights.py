import tracemalloc

from audit.storage.weights import fingerprint


def test_weights_are_known_by_their_bytes_and_not_written_out():
    weights = bytes(4_000_000)
    tracemalloc.start()
    found = fingerprint("sae", weights)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100_000
    assert found == fingerprint("sae", bytes(4_000_000))
    others = [fingerprint("sae", bytes(3_999_999) + b"x"), fingerprint("heads", weights)]
    assert len({found, *others, fingerprint("sae", bytes(4_000_001))}) == 4
