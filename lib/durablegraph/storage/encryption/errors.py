"""What can be wrong with an encrypted object."""

from durablegraph.errors import ConfigurationError, InvariantBroken


class EncryptionKeyMissingError(ConfigurationError):
    """A stored object is encrypted and this app lacks the key, or has no keys at all."""

    code = "encryption_key_missing"


class NotEncryptedError(ConfigurationError):
    """Encryption is on and a stored object is not encrypted: nothing vouches for it, so it is refused."""

    code = "not_encrypted"


class CorruptObject(InvariantBroken):
    """An encrypted object was altered, moved to another name or damaged: it is reported and never served."""

    code = "corrupt_object"
