"""The one exception that means: the user can mend this."""


class UserError(Exception):
    """A problem in the input, the options or the machine, told in one sentence that says what to do.

    Scripts print the message on stderr and end with exit code 1 (`rasgan.cli.ends_cleanly`). Any other
    exception is a fault of this project and keeps its traceback.
    """
