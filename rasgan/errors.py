"""The one exception that the user can mend, and sentences for those of the system."""

import errno


class UserError(Exception):
    """A problem in the input, the options or the machine, in one sentence that says what to do.

    Scripts print the message on stderr and end with exit code 1 (`rasgan.cli.ends_cleanly`). Any other
    exception is a fault of this project and keeps its traceback.
    """


def describe_os_error(error: OSError) -> str:
    """Return what failed, on which file, and what to do about it."""
    where = f"{error.filename}: " if error.filename else ""
    if error.errno == errno.ENOSPC:
        return f"{where}the disk is full; free some space, then run the same command again."
    if isinstance(error, FileNotFoundError):
        return f"{where}no such file or folder; check the path."
    if isinstance(error, BrokenPipeError):
        return "nobody reads what is printed any more; every file written so far is whole."
    if isinstance(error, PermissionError):
        return f"{where}permission denied; choose a place that you may read and write."
    if isinstance(error, FileExistsError | NotADirectoryError):
        return f"{where}a file stands where a folder is needed; rename it or choose another place."
    if isinstance(error, IsADirectoryError):
        return f"{where}a folder stands where a file is needed; rename it or choose another place."
    if error.errno == errno.ENOMEM:
        return f"{where}does not fit into this machine's memory; close other programs or take a smaller file."
    if error.errno == errno.ELOOP:
        return f"{where}a link that leads in a circle; replace it by the file or folder itself."
    if error.errno == errno.EROFS:
        return f"{where}the disk is read-only; choose a place that you may read and write."
    return f"{where}{error.strerror or error}."
