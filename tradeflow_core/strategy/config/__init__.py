"""What a strategy is: its file, read over the defaults and checked, and how far it follows pysystemtrade."""
