"""What can be wrong with an artifact, as one exception with a sentence."""


class ArtifactError(ValueError):
    """An artifact, or a part of it, is not what it has to be.

    `file` names the file (or the directory) and `reason` says what is wrong with it, so that a caller can show both.
    """

    def __init__(self, file: str, reason: str):
        super().__init__(f"{file}: {reason}")
        self.file = file
        self.reason = reason


class ArtifactNotFoundError(ArtifactError):
    """There is no artifact directory at the given path."""


class KeyFileError(ArtifactError):
    """A signing or trusted key cannot be used as it lies on disk."""
