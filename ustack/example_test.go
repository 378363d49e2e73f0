package ustack_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/stackmeter/stackmeter/ustack"
	"github.com/stackmeter/stackmeter/ustack/device/pipe"
)

// twoStacks makes two stacks with a link in memory. On a real machine the device would
// be a TUN interface or a network interface: see packages device/tun and
// device/packet.
func twoStacks() (client, server *ustack.Stack) {
	a, b, err := pipe.New(pipe.Config{})
	if err != nil {
		log.Fatal(err)
	}
	client, err = ustack.New(ustack.Config{Device: a, Addresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.1/24")}})
	if err != nil {
		log.Fatal(err)
	}
	server, err = ustack.New(ustack.Config{Device: b, Addresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.2/24")}})
	if err != nil {
		log.Fatal(err)
	}
	return client, server
}

// A listener and a connection are those of package net.
func ExampleStack_Listen() {
	client, server := twoStacks()
	defer client.Close()
	defer server.Close()

	l, err := server.Listen("tcp", ":7")
	if err != nil {
		log.Fatal(err)
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.Copy(c, c)
				_ = c.Close()
			}()
		}
	}()

	c, err := client.Dial(context.Background(), "tcp", "192.0.2.2:7")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Fprint(c, "hello")
	_ = c.(*ustack.TCPConn).CloseWrite()
	b, err := io.ReadAll(c)
	fmt.Println(string(b), err)
	_ = c.Close()
	// Output: hello <nil>
}

// Package net/http runs on the stack unchanged, on both ends.
func ExampleStack_Dial() {
	client, server := twoStacks()
	defer client.Close()
	defer server.Close()

	l, err := server.Listen("tcp", ":80")
	if err != nil {
		log.Fatal(err)
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "you are %s", r.RemoteAddr[:len("192.0.2.1")])
	}), ReadHeaderTimeout: time.Second}
	go func() { _ = srv.Serve(l) }()
	defer srv.Close()

	transport := &http.Transport{DialContext: client.Dial}
	defer transport.CloseIdleConnections()
	resp, err := (&http.Client{Transport: transport}).Get("http://192.0.2.2/")
	if err != nil {
		log.Fatal(err)
	}
	b, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	fmt.Println(resp.Status, string(b), err)
	// Output: 200 OK you are 192.0.2.1 <nil>
}

func ExampleStack_ListenPacket() {
	client, server := twoStacks()
	defer client.Close()
	defer server.Close()

	in, err := server.ListenPacket("udp", ":53")
	if err != nil {
		log.Fatal(err)
	}
	out, err := client.ListenPacket("udp", ":0")
	if err != nil {
		log.Fatal(err)
	}
	if _, err := out.WriteTo([]byte("ping"), &net.UDPAddr{IP: net.IPv4(192, 0, 2, 2), Port: 53}); err != nil {
		log.Fatal(err)
	}
	b := make([]byte, 100)
	n, from, err := in.ReadFrom(b)
	fmt.Println(string(b[:n]), from.(*net.UDPAddr).IP, err)
	// Output: ping 192.0.2.1 <nil>
}

// Borrow reads without copying.
func ExampleTCPConn_Borrow() {
	client, server := twoStacks()
	defer client.Close()
	defer server.Close()

	l, err := server.Listen("tcp", ":9")
	if err != nil {
		log.Fatal(err)
	}
	c, err := client.Dial(context.Background(), "tcp", "192.0.2.2:9")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Fprint(c, "look, no copy")
	_ = c.(*ustack.TCPConn).CloseWrite()
	d, err := l.Accept()
	if err != nil {
		log.Fatal(err)
	}
	lent, err := d.(*ustack.TCPConn).Borrow()
	if err != nil {
		log.Fatal(err)
	}
	for piece := range lent.Pieces() {
		fmt.Println(string(piece))
	}
	lent.Release()
	// Output: look, no copy
}
