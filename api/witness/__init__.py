"""`fidelog witness`: the other side's program. It has neither the log's database nor its keys."""
