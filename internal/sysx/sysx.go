// Package sysx holds the raw system calls of the house: those that Go's
// standard library and golang.org/x/sys lack or make awkward. Each function is thin: it
// makes the call, names what it was about in its error and decides nothing.
// All of it is Linux only.
package sysx
