"""The one exception that means: the user can mend this; and the system's errors in words."""

import errno


class UserError(Exception):
    """A problem in the input, the options or the machine, told in a sentence.

    Scripts print the message on stderr and end with exit code 1 (`rasgan.cli.ends_cleanly`). Any other
    exception is a fault of this project and keeps its traceback.

    The reason names no option: the library does not know what was typed. `about` tells the command what mends
    it, which knows the option for that (`rasgan.cli.advising`), and `value` is one that would do.
    """

    def __init__(self, reason: str, about: str | None = None, value: object = None) -> None:
        super().__init__(reason)
        self.about, self.value = about, value


IN_WORDS = {
    errno.ENOSPC: "the disk is full; free some space",
    errno.ENOENT: "no such file or folder; check the path",
    errno.EACCES: "permission denied; choose a place that you may read and write",
    errno.EPERM: "permission denied; choose a place that you may read and write",
    errno.EEXIST: "a file stands where a folder is needed; rename it or choose another place",
    errno.ENOTDIR: "a file stands where a folder is needed; rename it or choose another place",
    errno.EISDIR: "a folder stands where a file is needed; rename it or choose another place",
    errno.ENOMEM: "does not fit into this machine's memory; close other programs or take a smaller file",
    errno.ELOOP: "a link that leads in a circle; replace it by the file or folder itself",
    errno.EROFS: "the disk is read-only; choose a place that you may read and write",
}


def describe_os_error(error: OSError) -> str:
    """Return what failed, on which file, and what to do about it."""
    if isinstance(error, BrokenPipeError):
        return "nobody reads what is printed any more; every file written so far is whole."
    where = f"{error.filename}: " if error.filename else ""
    return f"{where}{IN_WORDS.get(error.errno, error.strerror or error)}."
