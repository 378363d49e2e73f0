package load

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
)

// Token identifies a flow of a run on its data connection.
type Token [16]byte

// DataMagic is what a data connection to an agent's own port begins with, before the token
// and the number of its flow. A record of TLS never does.
const DataMagic = "SMDATA1\n"

// DataPreambleBytes is how long the opening of such a connection is: magic, token, 4 bytes of the
// flow's number.
const DataPreambleBytes = len(DataMagic) + len(Token{}) + 4

// NewToken returns an unguessable token.
func NewToken() Token {
	var t Token
	rand.Read(t[:]) // never fails (crypto/rand)
	return t
}

// MarshalText writes the token in hexadecimal.
func (t Token) MarshalText() ([]byte, error) {
	return []byte(hex.EncodeToString(t[:])), nil
}

// UnmarshalText reads 32 hexadecimal digits.
func (t *Token) UnmarshalText(b []byte) error {
	if hex.DecodedLen(len(b)) != len(t) {
		return fmt.Errorf("token: %d characters, want %d hexadecimal digits", len(b), hex.EncodedLen(len(t)))
	}
	_, err := hex.Decode(t[:], b)
	return err
}
