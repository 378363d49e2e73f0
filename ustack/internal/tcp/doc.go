// Package tcp is TCP (RFC 9293) as a state machine: a [Conn] is a function of time,
// segments that arrive and calls of the application. It has no goroutine, clock,
// lock or socket in it. Time is nanoseconds of whatever clock the caller keeps; what
// is to be sent, delivered and freed is appended to the caller's [Out].
//
// The caller keeps the bytes to be sent: a Conn says 'send so many from this sequence
// number on'. Received bytes are frames that pass through.
//
// One call of [Conn.Arrive] takes a run of segments that were merged, and the caller
// calls [Conn.Output] once after a bunch: that makes one decision about
// acknowledging and one about sending for all that arrived together.
package tcp
