"""Answers by Gemini's Batch API: half the price, later. No row is paid for twice, whatever dies when.

A *group* is what goes out as one batch job; a create is asked for once a group, ever. Before it is, that is on record,
so that whoever comes after finds the job by its name, or makes sure that there is none.

api         what is asked of the API: GeminiBatches, or a fake in tests
answerer    the Answerer (see answering/base.py)
rounds      one go at the open rows of a chunk; chunk_rows knows which they are
building    samples become lines of a file, until a group is full; bounds say when
inputs      files at the API: uploaded once, by whichever process
paying      what a group sets aside of a budget, and what it frees
submitting  a group is brought on its way, where the API has room for it
groups      each step of a group, on record before it is done
finding     what became of a create whose answer was lost
flight      groups on their way: when to look, when to stop waiting; patience has the times
collecting  the lines of an ended job become outcomes
earlier     groups that an earlier process has left
"""
