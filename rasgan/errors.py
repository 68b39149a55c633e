"""The one exception that means: the user can mend this."""


class UserError(Exception):
    """A problem in the input, the options or the machine, told in a sentence.

    Scripts print the message on stderr and end with exit code 1 (`rasgan.cli.ends_cleanly`). Any other
    exception is a fault of this project and keeps its traceback.

    Parameters
    ----------
    reason : str
        What is wrong, and where. It names no option: the library does not know what was typed.
    about : str, optional
        What mends it, for the command, which knows the option for that (`rasgan.cli.advising`).
    value : object, optional
        A value that would do.
    """

    def __init__(self, reason: str, about: str | None = None, value: object = None) -> None:
        super().__init__(reason)
        self.about, self.value = about, value
