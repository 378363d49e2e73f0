package agent

import (
	"bytes"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"os"
	"strings"
	"time"
)

// Key is a secret that a controller and its agents share. Both ends derive the
// same certificate from it and accept no other, so that only those who hold the key
// speak to each other, over TLS 1.3.
type Key [32]byte

// NewKey returns a new random key.
func NewKey() Key {
	var k Key
	rand.Read(k[:]) // never fails (crypto/rand)
	return k
}

// String is the key as its file holds it.
func (k Key) String() string { return hex.EncodeToString(k[:]) }

// ReadKey reads a key file. A file that others can read is refused.
func ReadKey(path string) (Key, error) {
	var k Key
	if err := checkPrivate("key file", path, "make one with `stackmeter keys new "+path+"` and copy it to the other host"); err != nil {
		return k, err
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return k, fmt.Errorf("key file: %w", err)
	}
	raw, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(raw) != len(k) {
		return k, fmt.Errorf("key file %s: want %d hexadecimal digits; make one with `stackmeter keys new`", path, hex.EncodedLen(len(k)))
	}
	copy(k[:], raw)
	return k, nil
}

// TLS is the configuration of either end.
func (k Key) TLS() (*tls.Config, error) {
	seed, err := hkdf.Key(sha256.New, k[:], nil, "stackmeter agent certificate v1", ed25519.SeedSize)
	if err != nil {
		return nil, err
	}
	private := ed25519.NewKeyFromSeed(seed)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		// The hosts' clocks may be wrong; the key alone decides. The end is RFC 5280's for none.
		NotBefore: time.Unix(0, 0), NotAfter: time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC),
		KeyUsage: x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		return nil, fmt.Errorf("derive the certificate: %w", err)
	}
	own := private.Public().(ed25519.PublicKey)
	return &tls.Config{
		MinVersion:   tls.VersionTLS13,
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: private}},
		ClientAuth:   tls.RequireAnyClientCert,
		// The chain and the name mean nothing here; VerifyConnection compares the
		// public key, on both ends, and TLS has proved that the peer holds its private part.
		InsecureSkipVerify: true,
		VerifyConnection: func(s tls.ConnectionState) error {
			if len(s.PeerCertificates) > 0 {
				if theirs, ok := s.PeerCertificates[0].PublicKey.(ed25519.PublicKey); ok && bytes.Equal(theirs, own) {
					return nil
				}
			}
			return errWrongKey
		},
		SessionTicketsDisabled: true,
	}, nil
}

var errWrongKey = errors.New("the other end does not hold this key")
