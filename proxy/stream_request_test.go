package proxy_test

import (
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/example-org/authgate/config"
	"github.com/example-org/authgate/proxy"
)

func TestStreamsMayBeginLate(t *testing.T) {
	t.Parallel()
	const limit = 100 * time.Millisecond
	late := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-time.After(10 * limit):
			_, _ = io.WriteString(w, "late")
		case <-r.Context().Done():
		}
	})
	behind := h2cServer(t, late)
	for _, scheme := range []string{"http://", "h2c://"} {
		g := newGateTo(t, scheme+behind, func(o *proxy.Options) { o.Config.Timeouts.UpstreamHeader = config.Duration(limit) })
		cookie := g.as("alice")
		for name, c := range map[string]struct {
			url    string
			header []string
			want   int
		}{
			"a page":                {app, nil, 504},
			"any media":             {app, []string{"Accept", "*/*"}, 504},
			"events":                {app, []string{"Accept", "text/event-stream"}, 200},
			"events among others":   {app, []string{"Accept", "application/json, Text/Event-Stream;q=0.5"}, 200},
			"gRPC-web":              {app, []string{"Content-Type", "application/grpc-web+proto"}, 200},
			"gRPC-web in capitals":  {app, []string{"Content-Type", "Application/GRPC-Web+proto"}, 200},
			"another gRPC":          {app, []string{"Content-Type", "application/grpcfoo"}, 504},
			"gRPC-web as text":      {app, []string{"Content-Type", "application/grpc-web-text"}, 200},
			"follow":                {app + "?follow=true", nil, 200},
			"follow of logs":        {workflows + "?a=b&logOptions.follow=1", nil, 200},
			"watch":                 {workflows + "?watch=true", nil, 200},
			"watch of a list":       {workflows + "?listOptions%2Ewatch=True", nil, 200},
			"follow that is off":    {app + "?follow=false", nil, 504},
			"follow without value":  {app + "?follow", nil, 504},
			"something that is not": {app + "?unfollow=true&name=follow", nil, 504},
			"another kind":          {"https://argo-cd.example.com/reports/?follow=true", nil, 504},
		} {
			method := "GET"
			if len(c.header) > 0 && c.header[0] == "Content-Type" {
				method = "POST"
			}
			res := g.do(method, c.url, cookie, sameSite, c.header)
			failed := res.Header.Get("Grpc-Status") == "14"
			if (res.StatusCode == 200 && !failed) != (c.want == 200) {
				t.Errorf("%s %s: %d %q", scheme, name, res.StatusCode, res.Header.Get("Grpc-Status"))
			}
		}
	}
}

func TestOneUpstreamHasTimeoutsOfItsOwn(t *testing.T) {
	t.Parallel()
	const limit = 100 * time.Millisecond
	g := newGateTo(t, serverOf(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-time.After(10 * limit):
		case <-r.Context().Done():
		}
	})), func(o *proxy.Options) {
		o.Config.Timeouts.UpstreamHeader = config.Duration(limit)
		o.Config.Upstreams[2].Timeouts.UpstreamHeader = 0 // none
	})
	expect(t, "the one", g.do("GET", workflows, g.as("alice")), http.StatusOK)
	expect(t, "the others", g.do("GET", app, g.as("alice")), http.StatusGatewayTimeout)
}
