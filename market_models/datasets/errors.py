"""The error of every reader of recorded data."""


class DataError(ValueError):
    """A recorded file is malformed or truncated: exit code 2 on the command line.

    `path` names the file (an archive's member as ARCHIVE:MEMBER), `row` counts from 1, 0 means the file as a whole.
    """

    def __init__(self, path: object, row: int, reason: str) -> None:
        self.path, self.row, self.reason = str(path), row, reason
        where = f"{self.path}, row {row}" if row else self.path
        super().__init__(f"{where}: {reason}")
