package agent

import (
	"context"
	"crypto/tls"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// authority is one in a new directory.
func authority(t *testing.T) (*Authority, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "ca")
	if err := NewAuthority(dir); err != nil {
		t.Fatal(err)
	}
	a, err := ReadAuthority(dir)
	if err != nil {
		t.Fatal(err)
	}
	return a, dir
}

// issue makes a certificate and reads it; the names are as [Authority.Issue] takes them.
func issue(t *testing.T, a *Authority, dir, called string, hosts ...string) *Certificate {
	t.Helper()
	cert, key, _, err := a.Issue(dir, called, hosts, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	c, err := ReadCertificate(cert, key, filepath.Join(dir, AuthorityFile))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// meet lets a controller come to an agent on loopback, and returns why it is not served.
func meet(t *testing.T, server, client Credentials) (*listening, error) {
	t.Helper()
	a := listenAs(t, server)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	c, _, err := DialWait(ctx, a.addr, client, Introduction{Run: "by certificate"}, nil)
	if err == nil {
		err = c.Close()
	}
	return a, err
}

func TestCertificatesOfOneAuthority(t *testing.T) {
	a, dir := authority(t)
	agent, err := meet(t, issue(t, a, dir, "lab1", "127.0.0.1"), issue(t, a, dir, "desk"))
	if err != nil {
		t.Fatal(err)
	}
	agent.said(t, ` (desk): session of run "by certificate" ended`)
}

// TestStrangeCertificates wants each refused, by the end that must not trust it.
func TestStrangeCertificates(t *testing.T) {
	t.Parallel()
	a, dir := authority(t)
	b, other := authority(t)
	lab, desk := issue(t, a, dir, "lab1", "127.0.0.1"), issue(t, a, dir, "desk")
	stranger := issue(t, b, other, "lab1", "127.0.0.1")
	late, key, _, err := a.Issue(dir, "late", []string{"127.0.0.1"}, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	expired, err := ReadCertificate(late, key, filepath.Join(dir, AuthorityFile))
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(2 * time.Second)
	for name, c := range map[string]struct {
		server, client Credentials
		want           string // of the controller
		logged         string // of the agent
	}{
		"agent of another authority":      {stranger, desk, "unknown authority", "wrong credentials"},
		"controller of another authority": {lab, trusting(t, stranger), "certificate", "wrong credentials"},
		"agent is not the one dialled":    {desk, lab, "stackmeter keys issue NAME 127.0.0.1", "wrong credentials"},
		"expired agent":                   {expired, desk, "expired", "wrong credentials"},
		"expired controller":              {lab, expired, "expired", "wrong credentials"},
		"a key for a certificate":         {lab, NewKey(), "same key or authority", "wrong credentials"},
		"a certificate for a key":         {NewKey(), desk, "failed to verify certificate", "wrong credentials"},
		"no certificate":                  {lab, anonymous(t, desk), "certificate required", "wrong credentials"},
	} {
		t.Run(name, func(t *testing.T) {
			agent, err := meet(t, c.server, c.client)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("served with %v, want an error with %q", err, c.want)
			}
			agent.said(t, "refused: "+c.logged)
		})
	}
}

// changed are credentials with a change to their configuration.
type changed struct{ config *tls.Config }

func (c changed) TLS() (*tls.Config, error) { return c.config.Clone(), nil }

// trusting takes any agent, and shows what it has to it.
func trusting(t *testing.T, c Credentials) Credentials {
	t.Helper()
	config, err := c.TLS()
	if err != nil {
		t.Fatal(err)
	}
	config.InsecureSkipVerify = true
	own := config.Certificates[0]
	// Without this crypto/tls sends none that the agent would not take.
	config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &own, nil }
	return changed{config}
}

// anonymous shows no certificate.
func anonymous(t *testing.T, c Credentials) Credentials {
	t.Helper()
	config, err := c.TLS()
	if err != nil {
		t.Fatal(err)
	}
	config.Certificates = nil
	return changed{config}
}

// TestAuthorityFiles wants keys private, nothing overwritten, and what is no use refused when
// it is read.
func TestAuthorityFiles(t *testing.T) {
	a, dir := authority(t)
	cert, key, _, err := a.Issue(dir, "lab1", nil, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	ca, caKey := filepath.Join(dir, AuthorityFile), filepath.Join(dir, authorityKeyFile)
	for _, path := range []string{key, caKey} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: mode %v (%v), want 0600", path, info.Mode(), err)
		}
	}
	refused := func(what string, err error, want string) {
		t.Helper()
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want an error with %q", what, err, want)
		}
	}
	refused("a second authority", NewAuthority(dir), "file exists")
	_, _, _, err = a.Issue(dir, "lab1", nil, time.Hour)
	refused("a second certificate of a name", err, "file exists")
	for _, name := range []string{"", "../lab", "a/b", "-x", "lab 1", "*.lab", strings.Repeat("x", 65)} {
		_, _, _, err = a.Issue(dir, name, nil, time.Hour)
		refused(name, err, "neither a host's name nor an address")
	}
	_, _, _, err = a.Issue(dir, "old", nil, authorityLifetime+day)
	refused("longer than its authority", err, "before the authority's")
	_, _, _, err = a.Issue(dir, "old", nil, 0)
	refused("no time", err, "more than none")
	if left, _ := filepath.Glob(filepath.Join(dir, "old*")); len(left) > 0 {
		t.Errorf("a refused certificate left %v", left)
	}

	_, err = ReadCertificate(cert, key, key)
	refused("a key as authority", err, "no certificate in it")
	_, err = ReadCertificate(cert, caKey, ca)
	refused("another's key", err, "does not match")
	_, other := authority(t)
	_, err = ReadCertificate(cert, key, filepath.Join(other, AuthorityFile))
	refused("another authority", err, "issue a new one")
	_, err = ReadAuthority(t.TempDir())
	refused("no authority", err, "stackmeter keys authority")
	if err := os.Chmod(key, 0o644); err != nil {
		t.Fatal(err)
	}
	_, err = ReadCertificate(cert, key, ca)
	refused("a key that all can read", err, "chmod 600")
	if err := os.Rename(filepath.Join(other, authorityKeyFile), caKey); err != nil {
		t.Fatal(err)
	}
	_, err = ReadAuthority(dir)
	refused("another's authority's key", err, "not the one of its certificate")
}
