"""What is kept of a run so that the next one pays for nothing twice: records behind a small Storage.

    <job>/<attempt>/manifest           what the attempt set out to do
    <job>/<attempt>/answers-<writer>-N answers in the order they arrived, at most a second's worth a record
    <job>/<attempt>/<chunk>            results of a finished chunk, as Prefect persists them
    <job>/<attempt>/<chunk>-partial    the same of a chunk that was stopped (written by 0.1 only)
    <job>/<attempt>/summary            how the attempt ended
    <job>/pool/<writer>-N              answers of earlier attempts, put together
    <job>/batch/<group>/…              rows that went out as one batch job, and what became of it (see groups.py)
    <job>/costs/ended-<writer>-N       what attempts have cost that ended (see core/costs/spending.py)
    <job>/costs/<attempt>.<writer>-N   what a process of an attempt may spend at most
    <job>/lock                         who is at work on the job

A *job* is what fills one CSV: data set, configuration, split, model. An *attempt* is one go at it: a run, or a
re-run of the same flow run. What any attempt of a job has kept is one pool: it is found by listing the job's
records, so a record that cannot be read costs no other. Records are JSON, written once by one writer and never
again; the lock alone is written over. An answer is known by its attempt and row, so that it may stand in several
records. The version is part of every key: a new layout never reads an old one.
"""
