package ustack_test

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"io"
	"net"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/stackmeter/stackmeter/ustack"
)

// serveSSH is a server with one command: cat.
func serveSSH(c net.Conn, cfg *ssh.ServerConfig) error {
	server, channels, requests, err := ssh.NewServerConn(c, cfg)
	if err != nil {
		return err
	}
	defer server.Close()
	go ssh.DiscardRequests(requests)
	for n := range channels {
		ch, asked, err := n.Accept()
		if err != nil {
			return err
		}
		for r := range asked {
			var command struct{ Text string }
			good := r.Type == "exec" && ssh.Unmarshal(r.Payload, &command) == nil && command.Text == "cat"
			if err := r.Reply(good, nil); err != nil {
				return err
			}
			if !good {
				continue
			}
			if _, err := io.Copy(ch, ch); err != nil {
				return err
			}
			_, err = ch.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{0}))
			if err = errors.Join(err, ch.Close()); err != nil {
				return err
			}
		}
	}
	return nil
}

// TestSSH runs golang.org/x/crypto/ssh unchanged at both ends, over every kind of link and
// with each technique.
func TestSSH(t *testing.T) {
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	cfg := &ssh.ServerConfig{PasswordCallback: func(c ssh.ConnMetadata, p []byte) (*ssh.Permissions, error) {
		if c.User() != "user" || string(p) != "secret" {
			return nil, errors.New("refused")
		}
		return nil, nil
	}}
	cfg.AddHostKey(signer)
	want := random(22, 3<<20)
	try := func(t *testing.T, a, b *ustack.Stack) {
		l, err := b.Listen("tcp", ":22")
		if err != nil {
			t.Fatal(err)
		}
		served := make(chan error, 1)
		go func() {
			c, err := l.Accept()
			if err == nil {
				err = serveSSH(c, cfg)
			}
			served <- err
		}()
		c, err := a.Dial(t.Context(), "tcp", hostB+":22")
		if err != nil {
			t.Fatal(err)
		}
		conn, channels, requests, err := ssh.NewClientConn(c, hostB+":22", &ssh.ClientConfig{
			User: "user", Auth: []ssh.AuthMethod{ssh.Password("secret")}, HostKeyCallback: ssh.FixedHostKey(signer.PublicKey()),
		})
		if err != nil {
			t.Fatal(err)
		}
		client := ssh.NewClient(conn, channels, requests)
		s, err := client.NewSession()
		if err != nil {
			t.Fatal(err)
		}
		var got bytes.Buffer
		s.Stdin, s.Stdout = bytes.NewReader(want), &got
		if err := s.Run("cat"); err != nil || !bytes.Equal(got.Bytes(), want) {
			t.Errorf("%d of %d bytes came back, %v", got.Len(), len(want), err)
		}
		if err := client.Close(); err != nil {
			t.Error(err)
		}
		if err := <-served; err != nil {
			t.Errorf("server: %v", err)
		}
	}
	if testing.Short() {
		a, b := pair(t, pipes["segments-l2"])
		try(t, a, b)
		return
	}
	for name, link := range pipes {
		t.Run(name, func(t *testing.T) {
			a, b := pair(t, link)
			try(t, a, b)
		})
	}
	for name, techniques := range techniques {
		t.Run(name, func(t *testing.T) {
			a, b := pair(t, pipes["ip"], func(c *ustack.Config) { c.Techniques = techniques })
			try(t, a, b)
		})
	}
}
