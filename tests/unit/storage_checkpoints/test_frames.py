import pytest
from hypothesis import given
from hypothesis import strategies as st

from durablegraph.errors import ConfigurationError
from durablegraph.storage.checkpoints import frames
from durablegraph.storage.checkpoints.errors import CorruptCheckpoint
from durablegraph.storage.checkpoints.frames import GrowingBody

COMMIT = b"12345678"


class Xor:
    """A cipher good enough to be seen through."""

    def encrypt(self, plaintext: bytes) -> tuple[str, bytes]:
        return "xor", bytes(byte ^ 0x5A for byte in plaintext)

    def decrypt(self, ciphername: str, ciphertext: bytes) -> bytes:
        if ciphername != "xor":
            raise ValueError(ciphername)
        return self.encrypt(ciphertext)[1]


@pytest.mark.parametrize("cipher", [None, Xor()], ids=["plain", "encrypted"])
def test_an_object_opens_to_what_was_closed_in_it(cipher: Xor | None) -> None:
    data = frames.close(b"L", COMMIT, b"body", cipher)
    assert (b"body" in data) == (cipher is None)
    frame = frames.open_("k", data, b"L", cipher)
    assert (frame.commit, frame.body) == (COMMIT, b"body")


@pytest.mark.parametrize("cipher", [None, Xor()], ids=["plain", "encrypted"])
def test_every_flipped_bit_and_every_cut_is_noticed(cipher: Xor | None) -> None:
    data = frames.close(b"X", frames.NO_COMMIT, b"some body of a value", cipher)
    for position in range(len(data) * 8):
        broken = bytearray(data)
        broken[position // 8] ^= 1 << position % 8
        with pytest.raises(CorruptCheckpoint):
            frames.open_("k", bytes(broken), b"X", cipher)
    for length in range(len(data)):
        with pytest.raises(CorruptCheckpoint):
            frames.open_("k", data[:length], b"X", cipher)


def test_an_object_of_another_kind_is_refused() -> None:
    with pytest.raises(CorruptCheckpoint, match="kind"):
        frames.open_("k", frames.close(b"X", COMMIT, b"", None), b"L", None)


def test_a_later_format_says_what_to_do() -> None:
    data = bytearray(frames.close(b"X", COMMIT, b"", None))
    data[3] = 2
    with pytest.raises(CorruptCheckpoint, match="upgrade"):
        frames.open_("k", bytes(data), b"X", None)


def test_an_encrypted_object_without_its_cipher_says_which_is_missing() -> None:
    with pytest.raises(ConfigurationError, match="EncryptedSerializer"):
        frames.open_("k", frames.close(b"L", COMMIT, b"", Xor()), b"L", None)


@given(st.lists(st.binary(max_size=2000), min_size=1, max_size=20))
def test_a_growing_body_can_be_read_after_every_step(pieces: list[bytes]) -> None:
    body = GrowingBody(pieces[0])
    for end in range(1, len(pieces) + 1):
        if end > 1:
            body.append(pieces[end - 1])
        assert frames.decompress("k", body.whole()) == b"".join(pieces[:end])
        assert body.size == len(body.whole())


def test_a_body_that_is_no_zstd_is_corrupt() -> None:
    with pytest.raises(CorruptCheckpoint, match="decompressed"):
        frames.decompress("k", b"no such thing")
