// Package device is the folder of the devices that come with ustack. It has no code
// but tests that all devices stand.
//
// TestProof sends a stream each way through every device, through faults that lose,
// corrupt, repeat and reorder frames, with the kernel's TCP as the peer (but for the
// pipe), and compares the SHA-256 sums of what was sent and what came. Its streams are
// short; USTACK_PROOF_MB=5000 makes them 5 GB each way, so that 10 GB pass each device:
//
//	USTACK_PROOF_MB=5000 go test -timeout 2h -run TestProof -v ./ustack/device
//
// Frames whose checksum is left to the other side (TUN and packet sockets with
// Offload) are lost, repeated and reordered, but not corrupted: nothing would notice, as
// nothing happens to frames that never leave a machine.
package device
