"""What a strategy starts from: prices, rates and facts of instruments, and the daily figures made of them."""
