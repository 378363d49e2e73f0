package ustack_test

import (
	"bytes"
	"crypto/tls"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stackmeter/stackmeter/ustack/device/pipe"
)

// TestHTTP runs package net/http on both ends, plain and over TLS with HTTP/2.
func TestHTTP(t *testing.T) {
	for _, secure := range []bool{false, true} {
		a, b := pair(t, pipe.Config{})
		l, err := b.Listen("tcp", ":80")
		if err != nil {
			t.Fatal(err)
		}
		body := random(1, 1<<20)
		srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if _, err := io.Copy(w, r.Body); err != nil {
				t.Error(err)
			}
		}))
		_ = srv.Listener.Close()
		srv.Listener = l
		scheme := "http://"
		transport := &http.Transport{DialContext: a.Dial}
		if secure {
			srv.EnableHTTP2 = true
			srv.StartTLS()
			scheme = "https://"
			transport.TLSClientConfig = &tls.Config{RootCAs: srv.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs, ServerName: "example.com"}
			transport.ForceAttemptHTTP2 = true
		} else {
			srv.Start()
		}
		client := &http.Client{Transport: transport, Timeout: 10 * time.Second}
		for range 3 {
			resp, err := client.Post(scheme+hostB+":80/", "application/octet-stream", bytes.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			if err != nil || !bytes.Equal(got, body) {
				t.Fatalf("%d bytes, %v", len(got), err)
			}
			if want := map[bool]int{false: 1, true: 2}[secure]; resp.ProtoMajor != want {
				t.Errorf("%s, want HTTP/%d", resp.Proto, want)
			}
		}
		transport.CloseIdleConnections()
		srv.Close()
	}
}
