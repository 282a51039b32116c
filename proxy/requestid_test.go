package proxy_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

func TestOneRequestIDGoesThroughAllOfIt(t *testing.T) {
	t.Parallel()
	g := newGate(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Request-Id", "the upstream's own")
		w.Header().Set("X-Seen", strings.Join(r.Header["X-Request-Id"], ","))
		_, _ = io.WriteString(w, "ok")
	}))
	for name, test := range map[string]struct {
		sent []string
		kept bool
	}{
		"none":             {nil, false},
		"a word":           {[]string{"abc-123"}, true},
		"a UUID":           {[]string{"6f1c0a52-8a0e-4d0b-9c39-3c2b7c3d2f11"}, true},
		"an ALB's":         {[]string{"Root=1-67891233-abcdef012345678912345678"}, true},
		"every byte":       {[]string{"aZ09._~:/+=@-"}, true},
		"128 bytes":        {[]string{strings.Repeat("x", 128)}, true},
		"129 bytes":        {[]string{strings.Repeat("x", 129)}, false},
		"empty":            {[]string{""}, false},
		"two":              {[]string{"a", "b"}, false},
		"two, equal":       {[]string{"a", "a"}, false},
		"a blank":          {[]string{"a b"}, false},
		"a comma":          {[]string{"a,b"}, false},
		"a quote":          {[]string{`a"b`}, false},
		"a tag":            {[]string{"<script>"}, false},
		"8-bit":            {[]string{"caf\xc3\xa9"}, false},
		"a tab":            {[]string{"a\tb"}, false},
		"an escape":        {[]string{"a%0ab"}, false},
		"ANSI-ish":         {[]string{"[31m"}, false},
		"JSON":             {[]string{`{}`}, false},
		"a semicolon":      {[]string{"a;b"}, false},
		"a log's key=word": {[]string{"x=y"}, true},
	} {
		var headers []string
		for _, id := range test.sent {
			headers = append(headers, "X-Request-ID", id)
		}
		for what, path := range map[string]string{"allowed": "/", "refused": "/secret/x", "own": "/oauth2/userinfo", "bad": "/a//b"} {
			res := g.do("GET", here+path, g.as("bob"), headers)
			all := g.records()
			r := all[len(all)-1]
			want := r.ID
			if test.kept {
				want = test.sent[0]
			}
			if got := res.Header["X-Request-Id"]; len(got) != 1 || got[0] != want || r.RequestID != want {
				t.Errorf("%s, %s: the answer has %q, the audit %q, want %q", name, what, got, r.RequestID, want)
			}
			if what == "allowed" && res.Header.Get("X-Seen") != want {
				t.Errorf("%s: the upstream got %q, want %q", name, res.Header.Get("X-Seen"), want)
			}
			if r.ID == "" || test.kept && r.ID == want {
				t.Errorf("%s, %s: authgate's own id is %q", name, what, r.ID)
			}
		}
	}
}

func TestLogsOfARequestHaveBothIDs(t *testing.T) {
	t.Parallel()
	g := newGateTo(t, brokenUpstream(t))
	res := g.do("GET", app, g.as("alice"), []string{"X-Request-Id", "chosen-by-client"})
	expect(t, "nothing listens", res, http.StatusBadGateway)
	id := g.records()[1].ID
	if log := g.log.String(); !strings.Contains(log, "id="+id+" request_id=chosen-by-client") {
		t.Errorf("no line has both %s and chosen-by-client:\n%s", id, log)
	}
}
