// Command pods is what tests run in pods next to authgate: a fake GitHub, a dashboard, a
// way into the network, and a program that prints lines. Its image holds nothing else.
package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/example-org/authgate/integration/fakegithub"
	"github.com/example-org/authgate/integration/tunnel"
)

// roles are what a pod may be. An address is HOST:PORT, or unix:PATH.
var roles = map[string]func(ctx context.Context, args []string) error{
	"github":    github,    // ADDRESS CALLBACK CLIENT-ID CLIENT-SECRET ACCOUNTS, and a certificate in /identity
	"dashboard": dashboard, // ADDRESS
	"metrics":   metrics,   // ADDRESS, and a certificate in /identity
	"tunnel":    enter,     // ADDRESS
	"lines":     lines,     // COUNT, one each half second
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if len(os.Args) < 2 || roles[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "pods: unknown role")
		os.Exit(2)
	}
	if err := roles[os.Args[1]](ctx, os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, "pods:", err)
		os.Exit(1)
	}
}

func listen(ctx context.Context, address string) (net.Listener, error) {
	network := "tcp"
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		network, address = "unix", path
	}
	return (&net.ListenConfig{}).Listen(ctx, network, address)
}

func identity() (id fakegithub.Identity, err error) {
	for file, content := range map[string]*[]byte{"ca.crt": &id.CA, "tls.crt": &id.Certificate, "tls.key": &id.Key} {
		if *content, err = os.ReadFile("/identity/" + file); err != nil {
			return id, err
		}
	}
	return id, nil
}

func github(ctx context.Context, args []string) error {
	id, err := identity()
	if err != nil {
		return err
	}
	l, err := listen(ctx, args[0])
	if err != nil {
		return err
	}
	var accounts []fakegithub.Account
	if err := json.Unmarshal([]byte(args[4]), &accounts); err != nil {
		return err
	}
	app := fakegithub.App{Callback: args[1], ClientID: args[2], ClientSecret: args[3]}
	s, err := fakegithub.Serve(l, slog.New(slog.DiscardHandler), id, app, accounts...)
	if err != nil {
		return err
	}
	<-ctx.Done()
	return s.Close()
}

func enter(ctx context.Context, args []string) error {
	l, err := listen(ctx, args[0])
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { _ = l.Close() })()
	return tunnel.Serve(ctx, l, (&net.Dialer{Timeout: 5 * time.Second}).DialContext)
}

func lines(ctx context.Context, args []string) error {
	var n int
	if _, err := fmt.Sscan(args[0], &n); err != nil {
		return err
	}
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for i := range n {
		fmt.Println("line", i+1)
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
	return nil
}

// serve serves until ctx ends, and lets requests end that are there then.
func serve(ctx context.Context, address string, handler http.Handler, certificate *tls.Certificate) error {
	l, err := listen(ctx, address)
	if err != nil {
		return err
	}
	if certificate != nil {
		l = tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{*certificate}, MinVersion: tls.VersionTLS12})
	}
	s := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	ended := make(chan error, 1)
	go func() {
		<-ctx.Done()
		ended <- s.Shutdown(context.WithoutCancel(ctx))
	}()
	if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return <-ended
}
