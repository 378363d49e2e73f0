package agent

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"

	"github.com/stackmeter/stackmeter/internal/load"
)

// Why a connection was refused. The words are values of a label in metrics.
const (
	causeCrowdedOut  = "crowded out"
	causeSilent      = "silent"
	causeHungUp      = "hung up"
	causeCredentials = "wrong credentials"
	causeHandshake   = "bad handshake"
	causeBusy        = "busy"
)

// refusal is the cause of a failed handshake.
func refusal(err error) string {
	var verify *tls.CertificateVerificationError
	var authority x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	var op *net.OpError
	switch {
	case errors.Is(err, context.DeadlineExceeded), os.IsTimeout(err):
		return causeSilent
	case errors.Is(err, errWrongKey), errors.Is(err, load.ErrNotAwaited), errors.As(err, &verify), errors.As(err, &authority), errors.As(err, &invalid):
		return causeCredentials
	case errors.As(err, &op) && op.Op == "remote error": // an alert: the other end does not like ours
		return causeCredentials
	case strings.Contains(err.Error(), "didn't provide a certificate"): // crypto/tls has no type for it
		return causeCredentials
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return causeHungUp
	}
	return causeHandshake
}
