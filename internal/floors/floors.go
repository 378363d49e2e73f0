// Package floors holds the tests of the house's structure: which package may
// import which. See the table in its test.
package floors
