// Package fakegithub is a GitHub Enterprise server: the part of it that Dex's real
// `github` connector talks to, on loopback, with TLS and a certificate authority created
// at the start.
//
// It knows accounts, organisations, teams, and one registered OAuth app, and nothing about
// Dex or authgate. Accounts, rate limits and outages may change while it runs. The methods
// of [Server] are safe for concurrent use.
package fakegithub

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// App is the OAuth app that is registered at this GitHub.
type App struct {
	ClientID     string
	ClientSecret string
	Callback     string // the only redirect_uri that is accepted
}

// Server is a running fake GitHub.
type Server struct {
	app      App
	caPEM    []byte
	listener net.Listener
	http     *http.Server
	done     chan error

	directory *directory
	logins    *logins
}

// Start listens on a free port of 127.0.0.1 and serves until Close.
func Start(ctx context.Context, log *slog.Logger, app App, accounts ...Account) (*Server, error) {
	identity, err := NewIdentity("127.0.0.1", "::1", "localhost")
	if err != nil {
		return nil, fmt.Errorf("making fake GitHub's certificates: %w", err)
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listening for fake GitHub: %w", err)
	}
	return Serve(l, log, identity, app, accounts...)
}

// Serve serves at a listener until Close.
func Serve(l net.Listener, log *slog.Logger, identity Identity, app App, accounts ...Account) (*Server, error) {
	leaf, err := tls.X509KeyPair(identity.Certificate, identity.Key)
	if err != nil {
		return nil, fmt.Errorf("reading fake GitHub's certificate: %w", err)
	}
	s := &Server{
		app:       app,
		caPEM:     identity.CA,
		listener:  l,
		done:      make(chan error, 1),
		directory: newDirectory(accounts),
		logins:    newLogins(),
	}
	s.http = &http.Server{
		Handler:           s.routes(),
		TLSConfig:         &tls.Config{Certificates: []tls.Certificate{leaf}, MinVersion: tls.VersionTLS12},
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	go func() { s.done <- s.http.ServeTLS(l, "", "") }()
	return s, nil
}

// Close stops serving and waits for that.
func (s *Server) Close() error {
	err := s.http.Close()
	if served := <-s.done; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}

// Host is the address as Dex's connector wants it in `hostName`: no scheme.
func (s *Server) Host() string { return s.listener.Addr().String() }

// URL is where a browser finds the page that says who it is signed in as.
func (s *Server) URL() string { return "https://" + s.Host() }

// CA is the certificate, in PEM, of the authority that signed the server's.
func (s *Server) CA() []byte { return s.caPEM }

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.home)
	mux.HandleFunc("POST /session", s.signIn)
	mux.HandleFunc("POST /logout", s.signOut)
	mux.HandleFunc("GET /login/oauth/authorize", s.authorize)
	mux.HandleFunc("POST /login/oauth/authorize", s.chooseAndAuthorize)
	mux.HandleFunc("POST /login/oauth/access_token", s.accessToken)

	mux.HandleFunc("GET /api/v3/user", s.api(s.user))
	mux.HandleFunc("GET /api/v3/user/emails", s.api(s.userEmails))
	mux.HandleFunc("GET /api/v3/user/orgs", s.api(s.userOrgs))
	mux.HandleFunc("GET /api/v3/user/teams", s.api(s.userTeams))
	mux.HandleFunc("GET /api/v3/orgs/{org}/members/{login}", s.api(s.orgMember))
	return mux
}
