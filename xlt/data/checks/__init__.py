"""Rules over whole data sets, which no row breaks alone: `xlt check data`, and nothing else, asks them."""
