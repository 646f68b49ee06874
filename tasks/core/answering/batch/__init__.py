"""Answers by Gemini's Batch API: half the price, later. No row is paid for twice, whatever dies when.

A *group* is what goes out as one batch job; a create is asked for once a group, ever. Before it is, that is on record,
so that whoever comes after finds the job by its name, or makes sure that there is none.

api         what is asked of the API: GeminiBatches, or a fake in tests
bounds      how much goes into a group
building    samples become lines of a file, until a group is full
creating    a file becomes a job, once
settling    what became of a create whose answer was lost
looking     which jobs have ended
collecting  the lines of an ended job become outcomes
groups      all of these, one after the other, for a group
earlier     groups that an earlier process has left
answerer    the Answerer (see answering/base.py)
"""
