"""UserError, for problems that the user can fix, and readable text for OS errors."""

import errno


class UserError(Exception):
    """A problem with the input, the options or the machine, described in a sentence.

    Scripts print the message on stderr and exit with code 1 (`rasgan.cli.ends_cleanly`). Other exceptions
    are bugs and keep their traceback.

    The message names no options, because the library does not know what was typed. Commands add advice for
    the key `about` (`rasgan.cli.advising`); `value` is a value that would work.
    """

    def __init__(self, reason: str, about: str | None = None, value: object = None) -> None:
        super().__init__(reason)
        self.about, self.value = about, value


IN_WORDS = {
    errno.ENOSPC: "the disk is full; free some space and try again",
    errno.ENOENT: "no such file or folder; check the path",
    errno.EACCES: "permission denied; choose a place that you may read and write",
    errno.EPERM: "permission denied; choose a place that you may read and write",
    errno.EEXIST: "a file is in the way of a folder; rename it or choose another place",
    errno.ENOTDIR: "a file is in the way of a folder; rename it or choose another place",
    errno.EISDIR: "a folder is in the way of a file; rename it or choose another place",
    errno.ENOMEM: "does not fit into memory; close other programs or use a smaller file",
    errno.ELOOP: "a link that leads back to itself; replace it with the file or folder itself",
    errno.EROFS: "the disk is read-only; choose a place that you may read and write",
}


def describe_os_error(error: OSError) -> str:
    """Return which file failed, why, and what to do."""
    if isinstance(error, BrokenPipeError):
        return "the program that reads this output has ended. Files written so far are complete."
    where = f"{error.filename}: " if error.filename else ""
    return f"{where}{IN_WORDS.get(error.errno, error.strerror or error)}."
