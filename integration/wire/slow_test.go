package wire_test

import (
	"bufio"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// TestRefusalWaitsForNoBody: net/http reads a refused request's body before it
// sends the answer (golang/go#25475), and would hold the connection for a client
// that never sends it.
func TestRefusalWaitsForNoBody(t *testing.T) {
	t.Parallel()
	u := newUpstream(t, probed(sayFine))
	g := newGate(t, u, nil)
	const waiting = "Content-Length: 100000"
	begun := time.Now()
	held := map[string]net.Conn{}
	for name, row := range map[string]struct {
		sent string
		want int
	}{
		"not signed in":           {request("POST", "/private/x", "", waiting), 401},
		"chunked":                 {request("POST", "/private/x", "", "Transfer-Encoding: chunked"), 401},
		"half a chunk":            {request("POST", "/private/x", "ff\r\nabc", "Transfer-Encoding: chunked"), 401},
		"half a body":             {request("POST", "/private/x", strings.Repeat("a", 50_000), waiting), 401},
		"a body of 1 GB":          {request("POST", "/private/x", strings.Repeat("a", 50_000), "Content-Length: 1000000000"), 401},
		"of a GET":                {get("/private/x", waiting), 401},
		"of a browser":            {get("/private/x", waiting, "Accept: text/html"), 302},
		"expecting to go on":      {request("POST", "/private/x", "", waiting, "Expect: 100-continue"), 401},
		"a dashboard that is not": {"POST /a HTTP/1.1\r\nHost: evil.example\r\n" + waiting + "\r\n\r\n", 421},
		"a target that is none":   {request("POST", "/a//b", "", waiting), 400},
		"a method that is none":   {request("post", "/a", "", waiting), 405},
		"health":                  {request("POST", "/healthz", "", waiting), 405},
		"readiness":               {get("/readyz", waiting), 200},
		"who am I":                {get("/oauth2/userinfo", waiting), 401},
		"signing out":             {request("POST", "/oauth2/sign_out", "", waiting), 0},
		"beginning a login":       {get("/oauth2/start?rd=/", waiting), 302},
		"an endpoint that is not": {request("POST", "/oauth2/nothing", "", waiting), 404},
		"too many headers":        {get("/a", waiting, strings.Repeat("a:\r\n", 249)+"a:"), 431},
		"two that count":          {get("/a", waiting, "Origin: a", "Origin: b"), 400},
	} {
		conn := dial(t, g.address)
		held[name] = conn
		sent := time.Now()
		if _, err := io.WriteString(conn, row.sent); err != nil {
			t.Fatal(err)
		}
		method, _, _ := strings.Cut(row.sent, " ")
		a, err := readAnswer(bufio.NewReader(conn), method)
		if took := time.Since(sent); err != nil || row.want != 0 && a.status != row.want || took > time.Second {
			t.Errorf("%s: after %s: %s %v, want %d at once", name, took, a, err, row.want)
		}
	}
	for name, conn := range held {
		if err := ends(conn, begun.Add(12*time.Second)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestDeadUpstreamWaitsForNoBody is the same for an answer that takes an upstream
// to fail first.
func TestDeadUpstreamWaitsForNoBody(t *testing.T) {
	t.Parallel()
	u := newUpstream(t, sayFine)
	g := newGate(t, u, changed{`url: "URL"`, `url: "http://127.0.0.1:1"`})
	conn := dial(t, g.address)
	begun := time.Now()
	a := g.askOn(conn, request("POST", "/a", "", "Content-Length: 100000"))
	if took := time.Since(begun); a.status != 502 || took > 3*time.Second {
		t.Errorf("after %s: %s", took, a)
	}
	if err := ends(conn, begun.Add(10*time.Second)); err != nil {
		t.Error(err)
	}
}

// TestTooLargeBodyIsRefusedAndNeverWhole: a length is judged before anything goes
// out, chunks as they come.
func TestTooLargeBodyIsRefusedAndNeverWhole(t *testing.T) {
	t.Parallel()
	u := newUpstream(t, probed(sayFine))
	g := newGate(t, u, changed{"upstreams:", "limits: {bodyBytes: 1000}\nupstreams:"})
	begun := time.Now()
	var held []net.Conn
	for _, row := range []struct {
		path, framing, body string
		want                int
	}{
		{"/fits", "Content-Length: 1000", strings.Repeat("a", 1000), 200},
		{"/fits-in-chunks", "Transfer-Encoding: chunked", "3e8\r\n" + strings.Repeat("a", 1000) + "\r\n0\r\n\r\n", 200},
		{"/declared", "Content-Length: 1001", "", 413},
		{"/chunked", "Transfer-Encoding: chunked", "3e9\r\n" + strings.Repeat("a", 1001) + "\r\n", 413},
	} {
		conn := dial(t, g.address)
		held = append(held, conn)
		sent := time.Now()
		a := g.askOn(conn, request("POST", row.path, row.body, row.framing))
		if took := time.Since(sent); a.status != row.want || took > 2*time.Second {
			t.Errorf("%s: %s after %s, want %d", row.path, a, took, row.want)
		}
	}
	for _, conn := range held {
		if err := ends(conn, begun.Add(12*time.Second)); err != nil {
			t.Error(err)
		}
	}
	for _, a := range u.arrivals() {
		if a.target() == "/declared" || a.target() == "/chunked" && !a.cut {
			t.Errorf("%s reached the upstream", a.target())
		}
	}
}

// TestUpstreamThatNeverAnswersIsGivenUp: timeouts.upstreamHeader is 3 s here.
func TestUpstreamThatNeverAnswersIsGivenUp(t *testing.T) {
	t.Parallel()
	silent := newUpstream(t, nil)
	silent.reply = waitForTheEnd
	g := newGate(t, silent, nil)
	begun := time.Now()
	a := g.ask(get("/a"))
	if took := time.Since(begun); a.status != 504 || a.code() == "" || took < 2*time.Second || took > 6*time.Second {
		t.Errorf("after %s: %s", took, a)
	}
}
