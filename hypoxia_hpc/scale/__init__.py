"""Who does which part: shares, workers, receipts, machine checks."""
