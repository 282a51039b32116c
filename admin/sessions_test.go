package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/example-org/authgate/audit"
	"github.com/example-org/authgate/config"
	"github.com/example-org/authgate/identity"
	"github.com/example-org/authgate/session"
	"github.com/prometheus/client_golang/prometheus"
)

const adminToken = "0123456789abcdef-not-shown"

// listedStore is a store that knows what it is told to know. Package session tests
// the real ones.
type listedStore struct {
	session.Store

	sessions []session.Session
	err      error
	revoked  []session.Filter
}

func (s *listedStore) List(_ context.Context, which session.Filter) (found []session.Session, err error) {
	for _, one := range s.sessions {
		if which.All || which.ID != "" && one.ID == which.ID || which.Email != "" && one.Principal.Email == which.Email {
			found = append(found, one)
		}
	}
	return found, s.err
}

func (s *listedStore) Revoke(ctx context.Context, which session.Filter) (int, error) {
	s.revoked = append(s.revoked, which)
	found, err := s.List(ctx, which)
	return len(found), err
}

func (s *listedStore) Down() error { return nil }

type adminPort struct {
	http.Handler

	handler    *Handler
	store      *listedStore
	log, audit bytes.Buffer
}

func newAdminPort(kept config.Store, token string) *adminPort {
	begun := time.Date(2026, 11, 23, 12, 0, 0, 0, time.FixedZone("CET", 3600))
	one := func(id, email, subject string, after time.Duration) session.Session {
		return session.Session{
			TokenSet: identity.TokenSet{
				Principal:    identity.Principal{Issuer: "https://dex.example.com", Subject: subject, Email: email, Groups: []string{"example-org:argo"}},
				RefreshToken: "refresh-hunter2", IDToken: "id-hunter2", AccessToken: "access-hunter2", FetchedAt: begun.Add(after),
			},
			ID: id, CreatedAt: begun.Add(after), LastUsed: begun.Add(after), Expires: begun.Add(12 * time.Hour), DroppedGroups: 3,
		}
	}
	a := &adminPort{store: &listedStore{sessions: []session.Session{
		one("s3", "bob@example.com", "sub-bob", 0), one("s2", "alice@example.com", "sub-alice", time.Hour), one("s1", "alice@example.com", "sub-alice", 0),
	}}}
	log := slog.New(slog.NewTextHandler(&a.log, nil))
	a.handler = New(Options{
		Sessions: session.NewRefresher(session.RefresherOptions{Store: a.store, Log: log}), Shared: kept == config.StoreRedis,
		Audit: audit.New(&a.audit, log), Log: log, Now: func() time.Time { return begun },
	})
	if token != "" {
		a.handler.SetToken(token)
	}
	a.Handler = a.handler.Port(prometheus.NewRegistry())
	return a
}

func (a *adminPort) ask(method, target, authorization string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, nil)
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	w := httptest.NewRecorder()
	a.ServeHTTP(w, r)
	return w
}

func TestSessionsOnTheAdminPortNeedTheToken(t *testing.T) {
	t.Parallel()
	for what, authorization := range map[string]string{
		"none": "", "another": "Bearer 0123456789abcdef-not-showm", "a beginning of it": "Bearer 0123456789abcdef", "more than it": "Bearer " + adminToken + "x",
		"no scheme": adminToken, "another scheme": "Basic " + adminToken, "the scheme alone": "Bearer", "two blanks": "Bearer  " + adminToken,
	} {
		for _, method := range []string{"GET", "DELETE", "PUT"} {
			a := newAdminPort(config.StoreRedis, adminToken)
			w := a.ask(method, "/sessions?all=true", authorization)
			if w.Code != http.StatusUnauthorized || !strings.HasPrefix(w.Header().Get("WWW-Authenticate"), "Bearer") || len(a.store.revoked) > 0 {
				t.Errorf("%s, %s: %d %v", what, method, w.Code, w.Header())
			}
			if said := w.Body.String() + a.log.String(); strings.Contains(said, "alice") || strings.Contains(said, adminToken) {
				t.Errorf("%s: told to a stranger: %s", what, said)
			}
		}
	}
	a := newAdminPort(config.StoreRedis, adminToken)
	r := httptest.NewRequest("GET", "/sessions", nil)
	r.Header["Authorization"] = []string{"Bearer " + adminToken, "Bearer " + adminToken}
	w := httptest.NewRecorder()
	if a.ServeHTTP(w, r); w.Code != http.StatusUnauthorized {
		t.Errorf("two headers: %d", w.Code)
	}
	if w := a.ask("GET", "/sessions", "bearer "+adminToken); w.Code != http.StatusOK {
		t.Errorf("the token: %d %s", w.Code, w.Body)
	}
	if w := a.ask("GET", "/healthz", ""); w.Code != http.StatusOK {
		t.Errorf("the rest of the port: %d", w.Code)
	}
	if w := newAdminPort(config.StoreRedis, "").ask("GET", "/sessions", "Bearer "); w.Code != http.StatusNotFound {
		t.Errorf("without a configured token there is a /sessions: %d", w.Code)
	}
}

func TestSessionsOnTheAdminPortAreListedWithoutWhatOpensThem(t *testing.T) {
	t.Parallel()
	for target, want := range map[string]string{
		"/sessions":                                   "s1 s2 s3",
		"/sessions?all=true":                          "s1 s2 s3",
		"/sessions?user=alice@example.com":            "s1 s2",
		"/sessions?user=carol@example.com":            "",
		"/sessions?user=alice%40example.com":          "s1 s2",
		"/sessions?user=alice@example.com%00":         "",
		"/sessions?user=role:admin&x=1":               "400",
		"/sessions?usr=alice@example.com":             "400",
		"/sessions?user=":                             "400",
		"/sessions?user=a@b.c&user=alice@b.c":         "400",
		"/sessions?user=alice@example.com&all=true":   "400",
		"/sessions?all=false":                         "400",
		"/sessions?user=%zz":                          "400",
		"/sessions/s1?user=alice@example.com":         "400",
		"/sessions/s9":                                "404",
		"/sessions/s1%2F..":                           "404",
		"/sessions/" + strings.Repeat("x", 100_000):   "404",
		"/sessions?user=" + strings.Repeat("x", 5000): "",
	} {
		a := newAdminPort(config.StoreRedis, adminToken)
		w := a.ask("GET", target, "Bearer "+adminToken)
		var list SessionList
		if err := json.Unmarshal(w.Body.Bytes(), &list); err != nil {
			t.Errorf("%.60s: %v in %s", target, err, w.Body)
		}
		var ids []string
		for _, one := range list.Sessions {
			ids = append(ids, one.ID)
		}
		got := strings.Join(ids, " ")
		if w.Code != http.StatusOK {
			got = fmt.Sprint(w.Code)
		}
		if got != want {
			t.Errorf("%.60s: got %q, want %q: %s", target, got, want, w.Body)
		}
		if strings.Contains(w.Body.String(), "hunter2") || w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%.60s: %v %s", target, w.Header(), w.Body)
		}
	}
	w := newAdminPort(config.StoreRedis, adminToken).ask("GET", "/sessions/s1", "Bearer "+adminToken)
	const want = `{"id":"s1","email":"alice@example.com","username":"","issuer":"https://dex.example.com","sub":"sub-alice","groups":["example-org:argo"],"groups_dropped":3,` +
		`"created_at":"2026-11-23T11:00:00Z","last_used_at":"2026-11-23T11:00:00Z","refreshed":"2026-11-23T11:00:00Z","expires":"2026-11-23T23:00:00Z"}` + "\n"
	if w.Body.String() != want {
		t.Errorf("got  %swant %s", w.Body, want)
	}
}

func TestSessionsAreEndedFromTheAdminPortOnlyWhereTheyAreNamed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		target string
		status int
		which  session.Filter // revoked
		says   string
		email  string
		reason string // in the audit; none: no record
	}{
		{"/sessions/s1", 200, session.Filter{ID: "s1"}, `{"revoked":1,"scope":"everywhere"}`, "", "revoked"},
		{"/sessions/s9", 404, session.Filter{ID: "s9"}, "session_unknown", "", "session_unknown"},
		{"/sessions?user=alice@example.com", 200, session.Filter{Email: "alice@example.com"}, `"revoked":2`, "alice@example.com", "revoked"},
		{"/sessions?user=carol@example.com", 200, session.Filter{Email: "carol@example.com"}, `"revoked":0`, "carol@example.com", "revoked"},
		{"/sessions?all=true", 200, session.Filter{All: true}, `"revoked":3`, "", "revoked"},
		{"/sessions", 400, session.Filter{}, "Say which sessions", "", ""},
		{"/sessions?", 400, session.Filter{}, "Say which sessions", "", ""},
		{"/sessions?all", 400, session.Filter{}, "with a value", "", ""},
		{"/sessions?all=1", 400, session.Filter{}, "Write all=true", "", ""},
		{"/sessions?user=", 400, session.Filter{}, "with a value", "", ""},
		{"/sessions?user=&all=true", 400, session.Filter{}, "with a value", "", ""},
	} {
		a := newAdminPort(config.StoreRedis, adminToken)
		w := a.ask("DELETE", c.target, "Bearer "+adminToken)
		var revoked session.Filter
		if len(a.store.revoked) > 0 {
			revoked = a.store.revoked[0]
		}
		if w.Code != c.status || revoked != c.which || !strings.Contains(w.Body.String(), c.says) {
			t.Errorf("%s: %d %s, revoked %+v", c.target, w.Code, w.Body, revoked)
		}
		if c.reason == "" {
			if a.audit.Len() > 0 {
				t.Errorf("%s: nothing was done, and recorded: %s", c.target, a.audit.String())
			}
			continue
		}
		var record audit.Record
		if err := json.Unmarshal(a.audit.Bytes(), &record); err != nil {
			t.Errorf("%s: not one record: %v in %s", c.target, err, a.audit.String())
		}
		if record.Event != audit.Logout || record.Reason != c.reason || record.Email != c.email || record.Status != c.status || record.Method != "DELETE" || record.Remote != "192.0.2.1" {
			t.Errorf("%s: %+v", c.target, record)
		}
	}
	if w := newAdminPort(config.StoreRedis, adminToken).ask("POST", "/sessions?all=true", "Bearer "+adminToken); w.Code != 405 || w.Header().Get("Allow") == "" {
		t.Errorf("POST: %d %v", w.Code, w.Header())
	}
}

func TestTheAdminPortSaysWhatTheSessionStoreCannotDo(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		what   string
		kept   config.Store
		err    error
		method string
		status int
		says   string
	}{
		{"a list of cookies", config.StoreCookie, session.ErrNotListable, "GET", 501, "cannot be listed"},
		{"ending cookies", config.StoreCookie, nil, "DELETE", 200, `"scope":"this process"`},
		{"a list without redis", config.StoreRedis, fmt.Errorf("%w: dial 10.0.0.7", session.ErrStoreDown), "GET", 503, "session_store_down"},
		{"ending without redis", config.StoreRedis, fmt.Errorf("%w: dial 10.0.0.7", session.ErrStoreDown), "DELETE", 503, "may have had no effect"},
		{"a slow redis", config.StoreRedis, context.DeadlineExceeded, "GET", 503, "session_store_down"},
		{"anything else", config.StoreRedis, errors.New("dial 10.0.0.7"), "GET", 500, "The log has the reason"},
	} {
		a := newAdminPort(c.kept, adminToken)
		a.store.err = c.err
		w := a.ask(c.method, "/sessions?all=true", "Bearer "+adminToken)
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.says) {
			t.Errorf("%s: %d %s", c.what, w.Code, w.Body)
		}
		if (c.status == 503) != (w.Header().Get("Retry-After") != "") {
			t.Errorf("%s: %v", c.what, w.Header())
		}
		if strings.Contains(w.Body.String(), "10.0.0.7") || c.status != 501 && c.err != nil && !strings.Contains(a.log.String(), "code=") {
			t.Errorf("%s: body %s, log %s", c.what, w.Body, a.log.String())
		}
		if c.method == "DELETE" && c.status == 503 && !strings.Contains(a.audit.String(), `"decision":"refuse","reason":"session_store_down"`) {
			t.Errorf("%s: %s", c.what, a.audit.String())
		}
	}
	a := newAdminPort(config.StoreCookie, adminToken)
	if w := a.ask("DELETE", "/sessions/s9", "Bearer "+adminToken); w.Code != 200 || !strings.Contains(w.Body.String(), `"revoked":0,"scope":"this process"`) {
		t.Errorf("a session that this process has not seen: %d %s", w.Code, w.Body)
	}
}

func TestAChangedAdminTokenTakesThePlaceOfTheLast(t *testing.T) {
	t.Parallel()
	a := newAdminPort(config.StoreRedis, adminToken)
	a.handler.SetToken("another-token-of-enough-length")
	for token, want := range map[string]int{adminToken: http.StatusUnauthorized, "another-token-of-enough-length": http.StatusOK} {
		if w := a.ask("GET", "/sessions", "Bearer "+token); w.Code != want {
			t.Errorf("%s: %d, want %d", token, w.Code, want)
		}
	}
}
