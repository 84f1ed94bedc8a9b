"""The paper exchange and the markets that it trades on: a simulated one, and a tape of past days."""
