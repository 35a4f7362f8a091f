"""What came of a call, as its user would read it: the answer, or the error and what it came from."""

import asyncio
import inspect
import sys


def shown(call):
    """Calls with the host of the command line; exit code 1 if that fails."""
    try:
        answer = call(*sys.argv[1:])
        print(asyncio.run(answer) if inspect.iscoroutine(answer) else answer)
    except Exception as error:  # what a user would read is what is tested
        print(" <- ".join(causes(error)))
        sys.exit(1)


def causes(error):
    while error is not None:
        yield f"{type(error).__name__}: {error}"
        error = error.__cause__ or error.__context__
