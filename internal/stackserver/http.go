package stackserver

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"strings"
	"time"
)

// Page is a handler that gives every request the same text.
func Page(text string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader(text))
	})
}

// Files is a handler that serves the files of a directory, and nothing outside of it. Links
// that lead out of it are not followed.
func Files(dir string) (http.Handler, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	return http.FileServerFS(root.FS()), nil
}

// HTTP serves net/http over the stack until ctx ends.
func HTTP(ctx context.Context, p *Place, address string, h http.Handler, n *Counts) error {
	l, err := p.Listen("tcp", address)
	if err != nil {
		return err
	}
	s := &http.Server{
		ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			n.Requests.Add(1)
			h.ServeHTTP(w, r)
		}),
		ConnState: func(_ net.Conn, s http.ConnState) {
			switch s {
			case http.StateNew:
				n.Connections.Add(1)
				n.Open.Add(1)
			case http.StateClosed, http.StateHijacked:
				n.Open.Add(-1)
			}
		},
	}
	done := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(done)
		last, cancel := context.WithTimeout(context.Background(), grace)
		defer cancel()
		_ = s.Shutdown(last)
	})
	err = s.Serve(l)
	if stop() {
		return errors.Join(err, s.Close())
	}
	<-done
	if errors.Is(err, http.ErrServerClosed) {
		err = nil
	}
	return err
}
