package proxy_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/example-org/authgate/audit"
	"github.com/example-org/authgate/identity"
)

const formType = "application/x-www-form-urlencoded"

// tell posts as an issuer does: no cookie, no origin.
func (g *gate) tell(contentType, form string) *http.Response {
	return g.raw("POST /oauth2/backchannel_logout HTTP/1.1\r\nHost: argo-cd.example.com\r\nConnection: close\r\nX-Forwarded-Proto: https\r\nContent-Type: " +
		contentType + "\r\nContent-Length: " + strconv.Itoa(len(form)) + "\r\n\r\n" + form)
}

// believes has the fake issuer take tokens for what they are named.
func (g *gate) believes(tokens map[string]identity.Logout) {
	g.issuer.logout = func(raw string) (identity.Logout, error) {
		if raw == "unreachable" {
			return identity.Logout{}, &identity.UnreachableError{Request: "GET http://dex.internal/keys", Reason: "connection refused"}
		}
		l, ok := tokens[raw]
		if !ok {
			return l, errors.New("signed with another key")
		}
		return l, nil
	}
}

const dex = "https://dex.example.com"

func TestTheIssuerEndsTheSessionsOfOneUserAndTheirStreams(t *testing.T) {
	t.Parallel()
	g := newGate(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/stream/") {
			w.Header().Set("Content-Type", "text/event-stream")
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		}
	}))
	g.believes(map[string]identity.Logout{"of-alice": {Issuer: dex, Subject: "sub-alice"}, "of-another-issuer": {Issuer: "https://other.example", Subject: "sub-bob"}})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	open := func(cookie []string) io.ReadCloser {
		r, _ := http.NewRequestWithContext(ctx, "GET", "http://"+g.address+"/api/v1/stream/applications", nil)
		r.Host = "argo-cd.example.com"
		r.Header.Set("X-Forwarded-Proto", "https")
		r.Header.Set(cookie[0], cookie[1])
		res, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		return res.Body
	}
	alice, bob := g.as("alice"), g.as("bob")
	one, two, bobs := open(alice), open(g.as("alice")), open(bob)
	defer bobs.Close()

	expect(t, "another issuer's", g.tell(formType, "logout_token=of-another-issuer"), http.StatusOK)
	res := g.tell(formType+"; charset=utf-8", "logout_token=of-alice")
	expect(t, "logout", res, http.StatusOK)
	if res.Header.Get("Cache-Control") != "no-store" || len(res.Cookies()) != 0 {
		t.Errorf("%q", res.Header)
	}
	for _, stream := range []io.Reader{one, two} {
		if _, err := io.Copy(io.Discard, stream); ctx.Err() != nil {
			t.Fatalf("a stream is still open: %v", err)
		}
	}
	cut := 0
	for _, r := range g.records() {
		switch r.Event {
		case audit.StreamCut:
			cut++
			if r.Subject != "sub-alice" || r.Reason != "signed_out" {
				t.Errorf("%+v", r)
			}
		case audit.Logout:
			if r.Decision != audit.Allow || r.Reason != "backchannel" || r.Subject != "sub-alice" && r.Subject != "sub-bob" {
				t.Errorf("%+v", r)
			}
		}
	}
	if cut != 2 {
		t.Errorf("%d streams were cut", cut)
	}
	expect(t, "alice", g.do("GET", app, alice), http.StatusUnauthorized)
	expect(t, "bob", g.do("GET", app, bob), http.StatusOK)
}

func TestALogoutThatIsNoneIsRefusedInTheWordsOfTheSpecification(t *testing.T) {
	t.Parallel()
	g := newGate(t, nil)
	g.believes(map[string]identity.Logout{"no-user": {Issuer: dex}, "no-issuer": {Subject: "sub-alice"}, "good": {Issuer: dex, Subject: "sub-alice"}})
	alice := g.as("alice")
	for name, res := range map[string]*http.Response{
		"bad token":        g.tell(formType, "logout_token=bad"),
		"of no user":       g.tell(formType, "logout_token=no-user"),
		"of no issuer":     g.tell(formType, "logout_token=no-issuer"),
		"no token":         g.tell(formType, "x=y"),
		"empty":            g.tell(formType, "logout_token="),
		"two":              g.tell(formType, "logout_token=good&logout_token=good"),
		"JSON":             g.tell("application/json", `{"logout_token":"good"}`),
		"no type":          g.tell("", "logout_token=good"),
		"no form":          g.tell(formType, "logout_token=%zz"),
		"too long":         g.tell(formType, "logout_token="+strings.Repeat("x", 16<<10)),
		"token in the URL": g.do("POST", own+"/backchannel_logout?logout_token=good", []string{"Content-Type", formType}),
		"keys not reached": g.tell(formType, "logout_token=unreachable"),
	} {
		expect(t, name, res, http.StatusBadRequest)
		text := body(t, res)
		if !strings.Contains(text, `"error":"invalid_request"`) || !strings.Contains(text, `"error_description":"`) || strings.Contains(text, "another key") || strings.Contains(text, "dex.internal") {
			t.Errorf("%s: %s", name, text)
		}
		if res.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %q", name, res.Header)
		}
	}
	for _, why := range []string{"signed with another key", "connection refused"} {
		if !strings.Contains(g.log.String(), why) {
			t.Errorf("the log does not say %q", why)
		}
	}
	for _, r := range g.records()[1:] { // behind the policy
		if r.Event == audit.Logout {
			t.Errorf("%+v", r)
		}
	}
	for _, method := range []string{"GET", "PUT", "HEAD", "OPTIONS"} {
		res := g.do(method, own+"/backchannel_logout?"+url.Values{"logout_token": {"good"}}.Encode())
		if expect(t, method, res, http.StatusMethodNotAllowed); res.Header.Get("Allow") != "POST" {
			t.Errorf("%s: %q", method, res.Header)
		}
	}
	expect(t, "alice", g.do("GET", app, alice), http.StatusOK)
}

func TestALogoutThatTheStoreDoesNotHearIsNotSaidToBeDone(t *testing.T) {
	t.Parallel()
	g := newGate(t, nil).withRedisDown()
	g.believes(map[string]identity.Logout{"good": {Issuer: dex, Subject: "sub-alice"}})
	res := g.tell(formType, "logout_token=good")
	expect(t, "logout", res, http.StatusBadRequest) // Back-Channel Logout 1.0, 2.8, knows no other status
	all := g.records()
	if r := all[len(all)-1]; r.Reason != "logout_failed" || r.Subject != "sub-alice" || r.Decision != audit.Refuse {
		t.Errorf("%+v", r)
	}
}
