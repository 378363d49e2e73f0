// Package scenario tries the stack against the kernel's TCP behind a router, once with
// each technique: what RFCs ask of two ends of a connection, and of what lies between
// them. It has tests only; they need root.
package scenario
