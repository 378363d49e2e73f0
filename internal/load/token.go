package load

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
)

// Token identifies a flow of a run on its data connection.
type Token [16]byte

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
