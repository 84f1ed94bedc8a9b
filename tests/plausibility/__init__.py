"""What cannot well be is noticed: in bars, rates, histories and tables."""
