package agent

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
)

// Certificate shows that an authority has vouched for this end, and takes the other one for
// what the same authority vouches for: a controller demands that the agent's certificate
// names the host that was dialled, an agent lets any of the authority's in. There
// is no list of revoked certificates: let them be short-lived.
type Certificate struct {
	own       tls.Certificate
	authority *x509.CertPool
}

// ReadCertificate reads the PEM files of a certificate, of its private key and of its
// authority. A key that others can read is refused, and so is what the other
// end would refuse.
func ReadCertificate(certificate, key, authority string) (*Certificate, error) {
	if err := checkPrivate("private key", key, "make one with `stackmeter keys issue`"); err != nil {
		return nil, err
	}
	own, err := tls.LoadX509KeyPair(certificate, key)
	if err != nil {
		return nil, fmt.Errorf("certificate %s with private key %s: %w; make them with `stackmeter keys issue`", certificate, key, err)
	}
	text, err := os.ReadFile(authority)
	if err != nil {
		return nil, fmt.Errorf("authority: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("authority %s: no certificate in it; it is the file ca.pem of `stackmeter keys authority`", authority)
	}
	both := []x509.ExtKeyUsage{x509.ExtKeyUsageAny}
	if _, err := own.Leaf.Verify(x509.VerifyOptions{Roots: pool, KeyUsages: both}); err != nil {
		return nil, fmt.Errorf("certificate %s: %w; issue a new one with `stackmeter keys issue` and the authority of %s", certificate, err, authority)
	}
	return &Certificate{own, pool}, nil
}

// TLS is the configuration of either end.
func (c *Certificate) TLS() (*tls.Config, error) {
	return &tls.Config{
		MinVersion:             tls.VersionTLS13,
		Certificates:           []tls.Certificate{c.own},
		RootCAs:                c.authority,
		ClientCAs:              c.authority,
		ClientAuth:             tls.RequireAndVerifyClientCert,
		SessionTicketsDisabled: true,
	}, nil
}

// checkPrivate refuses a file that others can read; mend says what to do where there is none.
func checkPrivate(what, path, mend string) error {
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("%s: %w; %s", what, err, mend)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("%s %s can be read by others (mode %v): chmod 600 %s", what, path, info.Mode().Perm(), path)
	}
	return nil
}

// peerName is what the authority calls the other end; "" where both have a key.
func peerName(s tls.ConnectionState) string {
	if len(s.VerifiedChains) == 0 {
		return ""
	}
	return s.PeerCertificates[0].Subject.CommonName
}

// unlike says what to do against an agent's certificate that does not fit.
func unlike(err error) string {
	var name x509.HostnameError
	if errors.As(err, &name) {
		return fmt.Sprintf("issue a certificate that names it: `stackmeter keys issue NAME %s`", name.Host)
	}
	return "is `stackmeter serve` running there, with the same key or authority?"
}
