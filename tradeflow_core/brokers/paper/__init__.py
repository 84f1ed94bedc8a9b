"""The paper exchange and the markets that it trades on: a simulated one, and one that replays a tape."""
