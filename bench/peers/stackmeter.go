package main

// stackmeter does not take part yet: the table compares the others with each
// other, which is the mark to reach.
func stackmeter(contest) []entry { return nil }
