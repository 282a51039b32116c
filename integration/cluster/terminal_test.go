//go:build unix

package main

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/example-org/authgate/integration/stage"
)

// localhost is authgate's address as a name that every machine knows.
func localhost() string { return net.JoinHostPort("localhost", strconv.Itoa(shared.port)) }

// tokenOf is what `authgate token` gives a user.
func tokenOf(t *testing.T, login string) string {
	t.Helper()
	toAuthgate := &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, localhost())
	}}
	proxy := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(*httputil.ProxyRequest) {}, Transport: toAuthgate})
	defer proxy.Close()
	token, err := stage.Token(t.Context(), arrive(t, login), filepath.Join(shared.bin, "authgate"), shared.issuer(), t.TempDir(), proxy.URL)
	if err != nil {
		t.Fatal(err)
	}
	return token
}
