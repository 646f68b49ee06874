"""How a run ends.

exit_codes   what a shell is told; imports nothing that takes long
leave        what is left when the sending is over: CSV, report, checkpoint
page         the HTML report beside the CSV
states       the state of each end, and a message that says what is kept and how to go on
way_on       how whoever started it goes on: a command, a button, a call
hand_over    gives the state to Prefect: as it is, to be retried, or to be gone on with later
"""
