"""`infer(...)` called in Python: in a script, a notebook, another flow.

called   the flow as a function that returns a result
apart    the run in a thread of its own, where the caller's is a person's
caller   what the code that waits for a run and the run itself tell each other
result   what it returns
widget   how far the run is, in a notebook
"""
