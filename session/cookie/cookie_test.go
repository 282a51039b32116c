package cookie_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/example-org/authgate/session"
	"github.com/example-org/authgate/session/cookie"
	"github.com/example-org/authgate/session/sessiontest"
)

// written is what a browser was sent.
func written(t testing.TB, j *cookie.Chunked, h http.Header, value string, secure bool) ([]*http.Cookie, []string) {
	t.Helper()
	w := httptest.NewRecorder()
	if err := j.Write(w, h, value, sessiontest.Noon, secure); err != nil {
		t.Fatal(err)
	}
	return w.Result().Cookies(), w.Header()["Set-Cookie"]
}

func TestCookieIsBoundToItsHostOnHTTPSAlone(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		secure       bool
		domain, name string
		asked, given http.SameSite
	}{
		{true, "", "__Host-authgate", http.SameSiteLaxMode, http.SameSiteLaxMode},
		{true, "", "__Host-authgate", http.SameSiteNoneMode, http.SameSiteNoneMode},
		{false, "", "authgate", http.SameSiteStrictMode, http.SameSiteStrictMode},
		{false, "", "authgate", http.SameSiteNoneMode, http.SameSiteLaxMode}, // browsers refuse None there
		{true, "example.com", "authgate", http.SameSiteLaxMode, http.SameSiteLaxMode},
	} {
		j := cookie.New("authgate", test.domain, test.asked)
		given, _ := written(t, j, nil, "v", test.secure)
		w := httptest.NewRecorder()
		j.Clear(w, nil, test.secure)
		for _, c := range append(given, w.Result().Cookies()...) {
			if c.Name != test.name || c.Secure != test.secure || c.Domain != test.domain ||
				c.Path != "/" || !c.HttpOnly || c.SameSite != test.given {
				t.Errorf("secure %v, domain %q: %v", test.secure, test.domain, c)
			}
		}
	}
}

func TestOnlyTheConfiguredNameIsRead(t *testing.T) {
	t.Parallel()
	h := http.Header{"Cookie": {"__Host-authgate=1host; authgate=1domain"}}
	for domain, want := range map[string]string{"": "host", "example.com": "domain"} {
		if got, err := cookie.New("authgate", domain, http.SameSiteLaxMode).Read(h, true); err != nil || got != want {
			t.Errorf("domain %q: got %q, %v", domain, got, err)
		}
	}
}

func TestLongValueGoesInUpToThreePiecesThatBrowsersKeep(t *testing.T) {
	t.Parallel()
	for _, domain := range []string{"", "argo.example.com", strings.Repeat("a.", 120) + "example.com"} {
		j := cookie.New("authgate", domain, http.SameSiteStrictMode)
		most := 0
		for size := 1; size < 9000; size += 13 {
			value := strings.Repeat("x", size-1) + "y"
			w := httptest.NewRecorder()
			if err := j.Write(w, nil, value, sessiontest.Noon, true); err != nil {
				if !errors.Is(err, session.ErrTooLarge) || len(w.Result().Cookies()) > 0 {
					t.Errorf("%d bytes: %v", size, err)
				}
				continue
			}
			most = size
			b, total := sessiontest.Browser{}, 0
			b.Take(w)
			for _, line := range w.Header()["Set-Cookie"] {
				if len(line) > 4096 {
					t.Errorf("%d bytes: a cookie of %d", size, len(line))
				}
				pair, _, _ := strings.Cut(line, ";")
				total += len(pair) + len("; ")
			}
			if len(b) > 3 || total > 8192 {
				t.Errorf("%d bytes: %d cookies, %d bytes", size, len(b), total)
			}
			if got, err := j.Read(b.Headers(), true); err != nil || got != value {
				t.Fatalf("%d bytes came back as %d: %v", size, len(got), err)
			}
		}
		if most < 8000 {
			t.Errorf("domain %q: %d bytes fit, want 8000", domain, most)
		}
	}
	if err := cookie.New("authgate", strings.Repeat("a", 4096), http.SameSiteLaxMode).Write(httptest.NewRecorder(), nil, "v", sessiontest.Noon, true); !errors.Is(err, session.ErrTooLarge) {
		t.Errorf("no room at all: %v", err)
	}
}

func TestPiecesThatAreNotNeededAreTakenAway(t *testing.T) {
	t.Parallel()
	j := cookie.New("authgate", "", http.SameSiteLaxMode)
	b := sessiontest.Browser{"theme": "dark", "__Host-authgate-login-x": "l"}
	step := func(do func(w http.ResponseWriter, h http.Header)) (sent int) {
		w := httptest.NewRecorder()
		do(w, b.Headers())
		b.Take(w)
		return len(w.Result().Cookies())
	}
	write := func(size int) func(http.ResponseWriter, http.Header) {
		return func(w http.ResponseWriter, h http.Header) {
			if err := j.Write(w, h, strings.Repeat("x", size), sessiontest.Noon, true); err != nil {
				t.Fatal(err)
			}
		}
	}
	clearing := func(w http.ResponseWriter, h http.Header) { j.Clear(w, h, true) }
	for i, test := range []struct {
		do         func(http.ResponseWriter, http.Header)
		sent, left int
	}{
		{write(8000), 3, 3},
		{write(5000), 3, 2},
		{write(100), 2, 1},
		{write(100), 1, 1},
		{write(8000), 3, 3},
		{clearing, 3, 0},
		{clearing, 1, 0}, // the browser may have one that it did not show
	} {
		if sent := step(test.do); sent != test.sent || len(b) != test.left+2 {
			t.Errorf("step %d: %d cookies were sent, the browser has %d", i, sent, len(b)-2)
		}
	}
}

func TestPiecesThatAreNoSetAreNoValue(t *testing.T) {
	t.Parallel()
	j := cookie.New("authgate", "", http.SameSiteLaxMode)
	for line, want := range map[string]any{
		"authgate=1abc":                                   "abc",
		"authgate=2abc; authgate-1=def":                   "abcdef",
		"authgate-1=def; x=1; authgate=2abc":              "abcdef",
		"authgate=3abc; authgate-1=def; authgate-2=ghi":   "abcdefghi",
		"authgate=2abc; authgate-1=def; authgate-2=ghi":   "abcdef", // left over
		"authgate=1abc; authgate-3=x; authgate-login-x=y": "abc",
		"":                     session.ErrNoCookie,
		"authgate-1=def":       session.ErrNoCookie,
		"Authgate=1abc":        session.ErrNoCookie,
		"authgate =1abc":       session.ErrNoCookie,
		"__Host-authgate=1abc": session.ErrNoCookie,
		"authgate=":            session.ErrInvalid,
		"authgate=1":           session.ErrInvalid,
		"authgate=abc":         session.ErrInvalid,
		"authgate=0abc":        session.ErrInvalid,
		"authgate=4abc; authgate-1=d; authgate-2=g; authgate-3=x": session.ErrInvalid,
		"authgate=2abc":                                            session.ErrInvalid,
		"authgate=2abc; authgate-1=":                               session.ErrInvalid,
		"authgate=3abc; authgate-2=ghi":                            session.ErrInvalid,
		"authgate=1abc; authgate=1abc":                             session.ErrAmbiguous,
		"authgate=2abc; authgate-1=def; authgate-1=def":            session.ErrAmbiguous,
		"authgate=1abc; authgate-2=x; authgate-2=y":                session.ErrAmbiguous,
		"authgate=1" + strings.Repeat("x", 5000):                   session.ErrInvalid,
		"authgate=1; authgate-1=" + strings.Repeat("x", 5000):      session.ErrInvalid,
		"authgate=3x; authgate-1=x; authgate-2=\"" + "\x00" + "\"": "xx\"\x00\"", // what it opens as is for the seal to say
	} {
		got, err := j.Read(http.Header{"Cookie": {line}}, false)
		if why, refused := want.(error); refused && !errors.Is(err, why) || !refused && (err != nil || got != want) {
			t.Errorf("%.60q: got %q, %v; want %v", line, got, err, want)
		}
	}
}

func TestUpstreamSeesEveryCookieButAuthgates(t *testing.T) {
	t.Parallel()
	j := cookie.New("authgate", "", http.SameSiteLaxMode)
	for _, test := range []struct{ sent, want []string }{
		{[]string{"a=1; b=2"}, []string{"a=1; b=2"}},
		{[]string{`a="1"; b=x y; c=` + "\xe9"}, []string{`a="1"; b=x y; c=` + "\xe9"}},
		{[]string{"a=1; __Host-authgate=s; b=2"}, []string{"a=1; b=2"}},
		{[]string{"__Host-authgate=s; b=2"}, []string{"b=2"}},
		{[]string{"__Host-authgate=s"}, nil},
		{[]string{"__Host-authgate=3s; a=1; __Host-authgate-1=t; __Host-authgate-2=u"}, []string{"a=1"}},
		{[]string{"authgate=s", "b=2"}, []string{"b=2"}},
		{[]string{"a=1", "AUTHGATE=s; b=2", "c=3"}, []string{"a=1", "b=2", "c=3"}},
		{[]string{"authgate-login-abc=s; a=1"}, []string{"a=1"}},
		{[]string{"__host-authgate-login-abc=s; a=1"}, []string{"a=1"}},
		{[]string{"=__Host-authgate=s; a=1"}, []string{"a=1"}},
		{[]string{"\u2000__Host-authgate=s; a=1"}, []string{"a=1"}},
		{[]string{`"__Host-authgate"=s; a=1`}, []string{"a=1"}},
		{[]string{"authgate =s; a=1"}, []string{"a=1"}},
		{[]string{"authgateway=1; xauthgate=2"}, []string{"authgateway=1; xauthgate=2"}},
		{nil, nil},
	} {
		h := http.Header{}
		if test.sent != nil {
			h["Cookie"] = test.sent
		}
		j.Strip(h)
		if got := h["Cookie"]; fmt.Sprint(got) != fmt.Sprint(test.want) {
			t.Errorf("%q became %q, want %q", test.sent, got, test.want)
		}
	}
}

// FuzzStrip holds Strip to its plain form: split, drop, join.
func FuzzStrip(f *testing.F) {
	j := cookie.New("authgate", "", http.SameSiteLaxMode)
	for _, line := range []string{
		"", ";", "a=1; b=2", "__Host-authgate=s", "a=1; __Host-authgate=s; b=2", "__Host-authgate=s; a=1;b=2",
		" ;authgate=1; ;authgate=2;\t", "a=1;authgate-login-x=1;b=2;=authgate=1;c", `a="1; authgate=2"; b`,
	} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		if len(line) > 4096 {
			return
		}
		var kept []string
		for part := range strings.SplitSeq(line, ";") {
			if !j.Owns(part) {
				kept = append(kept, part)
			}
		}
		want, changed := []string{line}, len(kept) < strings.Count(line, ";")+1
		if changed {
			want = nil
			if rest := strings.Trim(strings.Join(kept, ";"), " \t"); rest != "" {
				want = []string{rest}
			}
		}
		sent := []string{line}
		h := http.Header{"Cookie": sent}
		j.Strip(h)
		if fmt.Sprintf("%q", h["Cookie"]) != fmt.Sprintf("%q", want) || sent[0] != line {
			t.Errorf("%q became %q, want %q", line, h["Cookie"], want)
		}
	})
}
