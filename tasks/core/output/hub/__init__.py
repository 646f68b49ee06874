"""A result on the Hub: its rows with their media and details as a data set, and a card that says what they are."""
