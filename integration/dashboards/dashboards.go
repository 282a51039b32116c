// Package dashboards is two sample dashboards with the pages and the HTTP API of Argo CD
// and Argo Workflows: real paths, JSON, an event stream, a WebSocket, gRPC, and Dex served
// as argocd-server does it. The libraries of the real servers route paths, forms and
// connections.
//
// They have no login. They show the user of X-Forwarded-User and the other identity
// headers, and the user of the credential that a request brings, which they verify with
// the rules of the real servers. Safe for concurrent use.
package dashboards

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/soheilhy/cmux"
	"google.golang.org/grpc"
)

//go:embed assets
var assets embed.FS

var pages = template.Must(template.New("").ParseFS(assets, "assets/*.html"))

// Links is what the pages offer in their head line; an empty one is left out.
type Links struct {
	Others  []Link
	SignOut string // receives a POST
	Switch  string // where a visitor switches users
}

// Link is a name to click on.
type Link struct{ Name, URL string }

// Dashboard is what listens on one port. A nil RPC: no gRPC.
type Dashboard struct {
	HTTP http.Handler
	RPC  *grpc.Server
}

// Running is a dashboard that listens.
type Running struct {
	listener   net.Listener
	http       *http.Server
	rpc        *grpc.Server
	done       chan error
	lastHeader atomic.Pointer[http.Header]
}

// Serve runs a dashboard on a free port of 127.0.0.1 until Close.
func Serve(ctx context.Context, log *slog.Logger, d Dashboard) (*Running, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listening for a dashboard: %w", err)
	}
	r := &Running{
		listener: l,
		rpc:      d.RPC,
		done:     make(chan error, 1),
		http: &http.Server{
			ReadHeaderTimeout: 10 * time.Second,
			ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		},
	}
	r.http.Handler = http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		header := req.Header.Clone()
		r.lastHeader.Store(&header)
		d.HTTP.ServeHTTP(w, req)
	})
	if r.rpc == nil {
		go func() { r.done <- r.http.Serve(l) }()
		return r, nil
	}
	// By connection, as server/server.go, Listen and Run, do it: HTTP/1.1 here, HTTP/2
	// that begins with a call of gRPC there, and nothing else.
	split := cmux.New(l)
	web := split.Match(cmux.HTTP1Fast("PATCH"))
	calls := split.MatchWithWriters(cmux.HTTP2MatchHeaderFieldSendSettings("content-type", "application/grpc"))
	go func() { r.done <- r.http.Serve(web) }()
	go func() { _ = r.rpc.Serve(calls) }() // Close ends it
	go func() { _ = split.Serve() }()      // and this, with the listener
	return r, nil
}

// URL is where the dashboard is reached without anything in front of it.
func (r *Running) URL() string { return "http://" + r.listener.Addr().String() }

// LastHeader is the header of the request that came last: what is left of a client's
// header behind whatever stands in front.
func (r *Running) LastHeader() http.Header {
	if header := r.lastHeader.Load(); header != nil {
		return *header
	}
	return nil
}

// Close ends the dashboard and the streams that it has open.
func (r *Running) Close() error {
	err := r.http.Close()
	if r.rpc != nil {
		r.rpc.Stop()
		_ = r.listener.Close() // split's, which the two servers' do not close
	}
	if served := <-r.done; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}

// static serves the embedded style sheet and scripts below /assets/.
func static() http.Handler {
	sub, err := fs.Sub(assets, "assets")
	if err != nil {
		return http.NotFoundHandler() // the folder is embedded above
	}
	return http.StripPrefix("/assets/", http.FileServerFS(sub))
}

func renderPage(w http.ResponseWriter, name string, data any) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	_ = pages.ExecuteTemplate(w, name, data) // the browser has closed the connection
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

// refuse is grpc-gateway's shape of an error, which both servers have.
func refuse(w http.ResponseWriter, status, code int, text string) {
	writeJSON(w, status, map[string]any{"error": text, "code": code, "message": text})
}
