"""A package, since its test files have names that test files of other folders have, too."""
