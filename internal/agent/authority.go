package agent

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"time"
)

// Files of an authority's directory.
const (
	AuthorityFile    = "ca.pem"     // its certificate: for everybody
	authorityKeyFile = "ca-key.pem" // for nobody else
)

const day = 24 * time.Hour

// authorityLifetime is how long an authority can vouch.
const authorityLifetime = 3650 * day

// clockLag is how far behind another host's clock may be for a new certificate to be valid there.
const clockLag = 10 * time.Minute

// Authority vouches for controllers and agents. Whoever has its key can make them.
type Authority struct {
	certificate *x509.Certificate
	key         ed25519.PrivateKey
}

// NewAuthority makes an authority in dir, which may be new. One that is there is left alone.
func NewAuthority(dir string) error {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	// Two authorities of one name would be taken for each other, until a signature does not fit.
	cert := newCertificate(fmt.Sprintf("stackmeter authority %x", public[:4]), authorityLifetime)
	cert.IsCA, cert.BasicConstraintsValid, cert.MaxPathLenZero = true, true, true
	cert.KeyUsage = x509.KeyUsageCertSign
	der, err := x509.CreateCertificate(rand.Reader, cert, cert, public, private)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return writePair(filepath.Join(dir, AuthorityFile), filepath.Join(dir, authorityKeyFile), der, private)
}

// ReadAuthority reads an authority's directory. A key that others can read is refused.
func ReadAuthority(dir string) (*Authority, error) {
	path := filepath.Join(dir, authorityKeyFile)
	if err := checkPrivate("the authority's key", path, "make an authority with `stackmeter keys authority "+dir+"`"); err != nil {
		return nil, err
	}
	der, err := readPEM(filepath.Join(dir, AuthorityFile), "CERTIFICATE")
	if err != nil {
		return nil, err
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("the authority's certificate: %w", err)
	}
	if der, err = readPEM(path, "PRIVATE KEY"); err != nil {
		return nil, err
	}
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, fmt.Errorf("the authority's key %s: %w", path, err)
	}
	private, ok := key.(ed25519.PrivateKey)
	if !ok || !private.Public().(ed25519.PublicKey).Equal(certificate.PublicKey) {
		return nil, fmt.Errorf("the authority's key %s is not the one of its certificate", path)
	}
	return &Authority{certificate, private}, nil
}

// hostName is a host name or an address, and a file's name at the same time.
var hostName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9.:-]{0,62}[A-Za-z0-9])?$`)

// Issue makes a certificate for a controller or an agent, and writes it and its key to the
// files NAME.pem and NAME-key.pem in dir; files that are there are refused. An agent's must name, with
// name or one of the hosts, what its controllers dial: host names or addresses. It returns when
// the certificate ends.
func (a *Authority) Issue(dir, called string, hosts []string, lifetime time.Duration) (certificate, key string, end time.Time, err error) {
	cert := newCertificate(called, lifetime)
	cert.KeyUsage = x509.KeyUsageDigitalSignature
	cert.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}
	end = cert.NotAfter
	for _, h := range append([]string{called}, hosts...) {
		if !hostName.MatchString(h) {
			return "", "", end, fmt.Errorf("%q is neither a host's name nor an address", h)
		}
		if ip := net.ParseIP(h); ip != nil {
			cert.IPAddresses = append(cert.IPAddresses, ip)
		} else {
			cert.DNSNames = append(cert.DNSNames, h)
		}
	}
	if lifetime <= 0 || end.After(a.certificate.NotAfter) {
		return "", "", end, fmt.Errorf("a certificate for %v: want more than none, and an end before the authority's, %s", lifetime, a.certificate.NotAfter.Format(time.DateOnly))
	}
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return "", "", end, err
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, a.certificate, public, a.key)
	if err != nil {
		return "", "", end, err
	}
	certificate, key = filepath.Join(dir, called+".pem"), filepath.Join(dir, called+"-key.pem")
	return certificate, key, end, writePair(certificate, key, der, private)
}

// newCertificate is what all certificates have.
func newCertificate(called string, lifetime time.Duration) *x509.Certificate {
	serial := make([]byte, 16)
	rand.Read(serial) // never fails (crypto/rand)
	serial[0] &= 0x7f // positive
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: new(big.Int).SetBytes(serial),
		Subject:      pkix.Name{CommonName: called},
		NotBefore:    now.Add(-clockLag), NotAfter: now.Add(lifetime).Truncate(time.Second),
	}
}

// writePair writes a certificate and its key to files that must be new: both or none.
func writePair(certificate, key string, der []byte, private ed25519.PrivateKey) error {
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return err
	}
	if err := writePEM(key, 0o600, "PRIVATE KEY", secret); err != nil {
		return err
	}
	if err := writePEM(certificate, 0o644, "CERTIFICATE", der); err != nil {
		return errors.Join(err, os.Remove(key))
	}
	return nil
}

func writePEM(path string, mode os.FileMode, kind string, der []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	return errors.Join(pem.Encode(f, &pem.Block{Type: kind, Bytes: der}), f.Close())
}

func readPEM(path, kind string) ([]byte, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil || block.Type != kind {
		return nil, fmt.Errorf("%s: want a PEM block %q", path, kind)
	}
	return block.Bytes, nil
}
