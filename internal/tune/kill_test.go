package tune

const victimVariable = "TUNE_TEST_VICTIM"

func victim(string) {}
