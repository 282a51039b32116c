package admin

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/example-org/authgate/audit"
	"github.com/example-org/authgate/config"
	"github.com/example-org/authgate/policy"
	"github.com/example-org/authgate/session"
)

// fakeTools answers like the commands, without them.
type fakeTools struct{}

func (fakeTools) Explain(_ *policy.Snapshot, identity policy.Identity, method, target string) (Explanation, error) {
	switch target {
	case "broken:/":
		return Explanation{}, fmt.Errorf("%w: casbin failed at 10.0.0.7", ErrExplain)
	case "<b>:/":
		return Explanation{}, fmt.Errorf("no upstream %q", target)
	}
	return Explanation{
		Allowed: len(identity.Groups) > 0, Method: method, Upstream: "argocd", Path: "/<x>", Rule: "policy.csv:1",
		Who: [][]string{{identity.Email + strings.Join(identity.Groups, "|"), "given"}}, JSON: map[string]string{"decision": "allow"},
	}, nil
}

func (fakeTools) Lint([]policy.Source) []Finding {
	return []Finding{{Severity: "warning", Code: "AG107", Where: "policy.csv:1:1", Message: "no subject holds role:<b>", Hint: "add one"}}
}

func (fakeTools) Matrix(*policy.Snapshot) (Matrix, error) {
	return Matrix{Upstreams: []string{"argocd"}, Rows: []MatrixRow{{"role:viewer", "example-org:dev", []string{"GET on 1 path"}}}}, nil
}

type notDraining struct{}

func (notDraining) Draining() bool                      { return false }
func (notDraining) PolicyStatus() (inForce, shadow any) { return nil, nil }

// operatorPort is an admin port with the operator pages, and a clock.
type operatorPort struct {
	http.Handler

	handler *Handler
	store   *listedStore
	now     time.Time
	status  Status
	records *audit.Writer
	log     bytes.Buffer
}

func newOperatorPort(t *testing.T, kept config.Store) *operatorPort {
	t.Helper()
	sources := []policy.Source{{Name: "policy.csv", Data: []byte("p, role:viewer, argocd, /**, GET, allow\ng, example-org:dev, role:viewer\n")}}
	snapshot, err := policy.Load(sources, []string{"argocd"})
	if err != nil {
		t.Fatal(err)
	}
	p := &operatorPort{store: newAdminPort(kept, "").store, now: time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)}
	p.status = Status{
		Version: "v2.0.0", StartedAt: p.now.Add(-90 * time.Minute), Upstreams: []string{"argocd"},
		Policy: PolicyStatus{Snapshot: snapshot, Sources: sources, Generation: 3, LoadedAt: p.now.Add(-time.Hour)},
		Issuer: "https://dex.example.com",
	}
	log := slog.New(slog.NewTextHandler(&p.log, nil))
	p.records = audit.New(io.Discard, log)
	p.records.Recent = new(audit.Recent)
	p.handler = New(Options{
		Sessions: session.NewRefresher(session.RefresherOptions{Store: p.store, Log: log}), Shared: kept == config.StoreRedis,
		State: notDraining{}, Audit: p.records, Log: log, Now: func() time.Time { return p.now },
		Operator: &Operator{
			Status: func() Status { return p.status }, Tools: fakeTools{}, Recent: p.records.Recent, Store: string(kept),
		},
	})
	p.handler.SetToken(adminToken)
	p.Handler = p.handler.Port(prometheus.NewRegistry())
	return p
}

// send sends a request of a browser; a form makes it a POST.
func (p *operatorPort) send(target string, form url.Values, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("GET", target, nil)
	if form != nil {
		r = httptest.NewRequest("POST", target, strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	r.Header.Set("Accept", "text/html,*/*;q=0.8")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	p.ServeHTTP(w, r)
	return w
}

// signIn gives the cookie of a login.
func (p *operatorPort) signIn(t *testing.T) *http.Cookie {
	t.Helper()
	w := p.send("/login", url.Values{"token": {adminToken}})
	cookies := w.Result().Cookies()
	if w.Code != http.StatusSeeOther || len(cookies) != 1 {
		t.Fatalf("signing in: %d %v %s", w.Code, w.Header(), w.Body)
	}
	return cookies[0]
}

var csrfField = regexp.MustCompile(`name="csrf" value="([^"]+)"`)

func csrfOn(t *testing.T, w *httptest.ResponseRecorder) string {
	t.Helper()
	found := csrfField.FindStringSubmatch(w.Body.String())
	if found == nil {
		t.Fatalf("no form on %d %s", w.Code, w.Body)
	}
	return found[1]
}

func cookieHeader(c *http.Cookie) string { return c.Name + "=" + c.Value }

var operatorPages = []string{"/", "/explain", "/refusals", "/sessions"}

func TestOperatorPagesAskForTheToken(t *testing.T) {
	t.Parallel()
	p := newOperatorPort(t, config.StoreRedis)
	for _, page := range operatorPages {
		for what, headers := range map[string][]string{
			"nothing": nil, "a wrong token": {"Authorization", "Bearer wrong"}, "a made-up cookie": {"Cookie", p.handler.logins.cookieName + "=x"},
		} {
			w := p.send(page, nil, headers...)
			body := w.Body.String()
			if w.Code != http.StatusUnauthorized || !strings.Contains(body, `action="/login"`) || !strings.Contains(body, `name="token"`) ||
				strings.Contains(body, "alice") || strings.Contains(body, "role:") || strings.Contains(body, "argocd") {
				t.Errorf("%s with %s: %d %s", page, what, w.Code, body)
			}
			if !strings.HasPrefix(w.Header().Get("WWW-Authenticate"), "Bearer") {
				t.Errorf("%s with %s: %v", page, what, w.Header())
			}
		}
		if w := p.send(page, nil, "Accept", "application/json"); w.Code != 401 || w.Header().Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s, a program: %d %v", page, w.Code, w.Header())
		}
		if w := p.send(page, nil, "Authorization", "Bearer "+adminToken); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "<h1>") {
			t.Errorf("%s with the token: %d %s", page, w.Code, w.Body)
		}
	}
	if w := newAdminPort(config.StoreRedis, "").ask("GET", "/", "Bearer "); w.Code != http.StatusNotFound {
		t.Errorf("without a configured token: %d", w.Code)
	}
}

func TestOperatorPagesHaveNoScriptAndAreNotKept(t *testing.T) {
	t.Parallel()
	p := newOperatorPort(t, config.StoreRedis)
	for _, page := range append([]string{"/login"}, operatorPages...) {
		w := p.send(page, nil, "Authorization", "Bearer "+adminToken)
		if page == "/login" {
			w = p.send(page, nil)
		}
		h := w.Header()
		for name, want := range map[string]string{
			"Cache-Control": "no-store", "X-Frame-Options": "DENY", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin",
			"Content-Type": "text/html; charset=utf-8",
		} {
			if h.Get(name) != want {
				t.Errorf("%s: %s is %q", page, name, h.Get(name))
			}
		}
		csp := h.Get("Content-Security-Policy")
		if !strings.HasPrefix(csp, "default-src 'none'; style-src 'sha256-") || !strings.Contains(csp, "frame-ancestors 'none'") {
			t.Errorf("%s: %s", page, csp)
		}
		if body := w.Body.String(); strings.Contains(body, "<script") || strings.Contains(body, "style=") || strings.Contains(body, "src=") {
			t.Errorf("%s: %s", page, body)
		}
	}
}

func TestLoginFormGivesACookieThatOpensThePages(t *testing.T) {
	t.Parallel()
	p := newOperatorPort(t, config.StoreRedis)
	c := p.signIn(t)
	if !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Path != "/" || c.Secure || c.MaxAge <= 0 || c.MaxAge > 8*3600 || strings.Contains(c.Value, adminToken) {
		t.Errorf("the cookie is %v", c)
	}
	for _, page := range operatorPages {
		if w := p.send(page, nil, "Cookie", cookieHeader(c)); w.Code != http.StatusOK {
			t.Errorf("%s: %d", page, w.Code)
		}
	}
	if w := p.send("/login", nil, "Cookie", cookieHeader(c)); w.Code != http.StatusSeeOther {
		t.Errorf("the form, signed in: %d", w.Code)
	}
	p.now = p.now.Add(8*time.Hour + time.Second)
	if w := p.send("/", nil, "Cookie", cookieHeader(c)); w.Code != http.StatusUnauthorized {
		t.Errorf("after 8 hours: %d", w.Code)
	}
}

func TestAnotherTokenEndsLogins(t *testing.T) {
	t.Parallel()
	p := newOperatorPort(t, config.StoreRedis)
	c := p.signIn(t)
	p.handler.SetToken("another-token-of-enough-length")
	if w := p.send("/", nil, "Cookie", cookieHeader(c)); w.Code != http.StatusUnauthorized {
		t.Errorf("after the token changed: %d", w.Code)
	}
}

func TestSignOutEndsTheLoginAlsoForCopiesOfItsCookie(t *testing.T) {
	t.Parallel()
	p := newOperatorPort(t, config.StoreRedis)
	c := p.signIn(t)
	csrf := csrfOn(t, p.send("/", nil, "Cookie", cookieHeader(c)))
	if w := p.send("/logout", url.Values{"csrf": {"x"}}, "Cookie", cookieHeader(c)); w.Code != http.StatusForbidden {
		t.Errorf("a forged sign-out: %d", w.Code)
	}
	if w := p.send("/logout", url.Values{"csrf": {csrf}}, "Cookie", cookieHeader(c)); w.Code != http.StatusSeeOther || w.Result().Cookies()[0].MaxAge >= 0 {
		t.Errorf("signing out: %d %v", w.Code, w.Header())
	}
	if w := p.send("/", nil, "Cookie", cookieHeader(c)); w.Code != http.StatusUnauthorized {
		t.Errorf("the old cookie: %d", w.Code)
	}
}

func TestWrongTokensAreLimited(t *testing.T) {
	t.Parallel()
	p := newOperatorPort(t, config.StoreRedis)
	codes := map[int]int{}
	for range 50 {
		w := p.send("/login", url.Values{"token": {"wrong"}})
		codes[w.Code]++
		if strings.Contains(w.Body.String(), `"wrong"`) || len(w.Result().Cookies()) > 0 {
			t.Fatalf("%v %s", w.Header(), w.Body)
		}
	}
	if codes[401] != loginBurst || codes[429] != 50-loginBurst {
		t.Errorf("statuses %v", codes)
	}
	if w := p.send("/login", url.Values{"token": {adminToken}}); w.Code != 429 || w.Header().Get("Retry-After") == "" {
		t.Errorf("the right token among them: %d %v", w.Code, w.Header())
	}
	if w := p.send("/", nil, "Authorization", "Bearer "+adminToken); w.Code != 200 {
		t.Errorf("the header meanwhile: %d", w.Code)
	}
	p.now = p.now.Add(loginRefill)
	p.signIn(t)
	for range 20 {
		p.signIn(t) // the right token counts as no attempt
	}
	if strings.Contains(p.log.String(), adminToken) || strings.Contains(p.log.String(), "token=wrong") {
		t.Errorf("the log has tokens: %s", p.log.String())
	}
}

func TestLoginReturnsOnlyToPagesOfThePort(t *testing.T) {
	t.Parallel()
	p := newOperatorPort(t, config.StoreRedis)
	for next, want := range map[string]string{
		"/explain?group=a&method=GET": "/explain?group=a&method=GET", "/refusals?user=": "/refusals?user=", "/sessions": "/sessions", "": "/",
		"//evil.example.com/explain": "/", "https://evil.example.com/explain": "/", `/\evil.example.com`: "/", "/metrics": "/",
		"javascript:alert(1)": "/", "/explain/../..//evil.example.com": "/", "/%2Fevil.example.com": "/", "explain": "/", "/explain#x": "/explain",
	} {
		w := p.send("/login", url.Values{"token": {adminToken}, "next": {next}})
		if got := w.Header().Get("Location"); w.Code != http.StatusSeeOther || got != want {
			t.Errorf("%s: %d to %s, want %s", next, w.Code, got, want)
		}
	}
	if w := p.send("/explain?group=<a>&method=GET", nil); !strings.Contains(w.Body.String(), `name="next" value="/explain?group=%3Ca%3E&amp;method=GET"`) &&
		!strings.Contains(w.Body.String(), `name="next" value="/explain?group=&lt;a&gt;&amp;method=GET"`) {
		t.Errorf("the form forgets where the user was: %s", w.Body)
	}
}

func TestLoginFormsThatAreNoneAreRefused(t *testing.T) {
	t.Parallel()
	p := newOperatorPort(t, config.StoreRedis)
	for what, c := range map[string]struct{ contentType, body string }{
		"JSON": {"application/json", `{"token":"` + adminToken + `"}`}, "no type": {"", "token=" + adminToken},
		"too large": {"application/x-www-form-urlencoded", "token=" + strings.Repeat("x", 100_000)},
		"malformed": {"application/x-www-form-urlencoded", "token=%zz"}, "multipart": {"multipart/form-data; boundary=x", "--x--"},
	} {
		r := httptest.NewRequest("POST", "/login", strings.NewReader(c.body))
		r.Header.Set("Content-Type", c.contentType)
		w := httptest.NewRecorder()
		p.ServeHTTP(w, r)
		if w.Code != http.StatusBadRequest || len(w.Result().Cookies()) > 0 {
			t.Errorf("%s: %d %v", what, w.Code, w.Header())
		}
	}
	r := httptest.NewRequest("POST", "/login?token="+adminToken, strings.NewReader(""))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	if p.ServeHTTP(w, r); w.Code != http.StatusUnauthorized {
		t.Errorf("a token in the address, which logs keep: %d", w.Code)
	}
}

// A link in a chat comes without the strict cookie. The page then loads itself again.
func TestALinkOfAnotherSiteOpensThePageOfASignedInOperator(t *testing.T) {
	t.Parallel()
	p := newOperatorPort(t, config.StoreRedis)
	const refresh = `<meta http-equiv="refresh" content="0">`
	w := p.send("/explain", nil, "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Site", "cross-site")
	if w.Code != 401 || !strings.Contains(w.Body.String(), refresh) {
		t.Errorf("from another site: %d %s", w.Code, w.Body)
	}
	for _, site := range []string{"same-origin", "none"} {
		if w := p.send("/explain", nil, "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Site", site); strings.Contains(w.Body.String(), refresh) {
			t.Errorf("%s: the page loads itself for ever", site)
		}
	}
}

func TestOverviewShowsTheState(t *testing.T) {
	t.Parallel()
	p := newOperatorPort(t, config.StoreRedis)
	shadow := p.status.Policy
	shadow.Generation = 0
	p.status.Shadow = &shadow
	p.status.Policy.Rejected = &RejectedReload{At: p.now, Faults: []string{`policy.csv:3:41: effect "<Allow>" is not known; write "allow"`}, More: 7}
	p.status.IssuerError = errors.New("connection refused")
	p.status.Certificates = []CertificateStatus{{"port :8443", "a.example.com until 2027-01-01T00:00:00Z", "the certificate has expired"}}
	p.status.Streams = []StreamStatus{{"argocd", "WebSocket", "alice@example.com", "GET", "/terminal", "192.0.2.7", p.now.Add(-2 * time.Hour)}}
	p.records.Write(audit.Record{Event: audit.Request, Decision: audit.Deny, Shadow: "allow", Email: "bob@example.com", Upstream: "argocd", Path: "/granted"})
	w := p.send("/", nil, "Authorization", "Bearer "+adminToken)
	for _, want := range []string{
		"v2.0.0", "1 h 30 min", "https://dex.example.com", "connection refused", "policy.csv", p.status.Policy.Hash(), "role:viewer", "GET on 1 path",
		"policy.csv:3:41: effect &#34;&lt;Allow&gt;&#34; is not known", "And 7 more", "AG107", "no subject holds role:&lt;b&gt;", "example-org:dev",
		"a.example.com until 2027", "the certificate has expired", "WebSocket", "alice@example.com", "/terminal", "2 h 0 min", "/granted", "Shadow policy",
	} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("%q is missing", want)
		}
	}
	if t.Failed() {
		t.Log(w.Body)
	}
}

func TestExplainFormNamesWhatIsWrong(t *testing.T) {
	t.Parallel()
	for query, want := range map[string]struct {
		status int
		says   string
	}{
		"": {200, "Question"}, "user=&group=&method=&target=": {200, "Question"},
		"group=example-org:dev&group=b&group=&user=&method=GET&target=argocd:/": {200, "example-org:dev|b"},
		"user=eve@example.com&method=GET&target=argocd:/":                       {200, "Denied"},
		"anonymous=true&method=GET&target=argocd:/":                             {200, "Denied"},
		"method=GET&target=argocd:/":                                            {422, "No user is named"},
		"user=eve&method=GET&target=argocd:/":                                   {422, "is not an e-mail address"},
		"user=user:eve@example.com&method=GET&target=argocd:/":                  {422, "is not an e-mail address"},
		"group=a&target=argocd:/":                                               {422, "The method is missing"},
		"group=a&method=GET":                                                    {422, "The target is missing"},
		"role=admin&method=GET&target=argocd:/":                                 {422, "is not a role"},
		"anonymous=true&group=a&method=GET&target=argocd:/":                     {422, "An anonymous request has no user"},
		"group=a&method=GET&target=%3Cb%3E:/":                                   {422, "&lt;b&gt;"},
		"group=a&method=GET&target=broken:/":                                    {500, "The log has the reason"},
		"groups=a&method=GET&target=argocd:/":                                   {400, "is not known"},
		"group=a&method=GET&method=PUT&target=argocd:/":                         {400, "sent twice"},
		"anonymous=yes":                 {400, "anonymous=true"},
		"%zz":                           {400, "malformed"},
		"group=a;b":                     {400, "malformed"},
		strings.Repeat("group=a&", 300): {400, "more than 200"},
	} {
		p := newOperatorPort(t, config.StoreRedis)
		w := p.send("/explain?"+query, nil, "Authorization", "Bearer "+adminToken)
		body := w.Body.String()
		if w.Code != want.status || !strings.Contains(strings.ToLower(body), strings.ToLower(want.says)) || !strings.Contains(body, `name="target"`) ||
			strings.Contains(body, "<b>") || strings.Contains(body, "10.0.0.7") {
			t.Errorf("%.80s: %d, want %d and %q: %s", query, w.Code, want.status, want.says, body)
		}
	}
	p := newOperatorPort(t, config.StoreRedis)
	if w := p.send("/explain?group=a&method=GET&target=argocd:/", nil, "Authorization", "Bearer "+adminToken, "Accept", "application/json"); w.Body.String() != `{"decision":"allow"}`+"\n" {
		t.Errorf("JSON: %s", w.Body)
	}
	if w := p.send("/explain?method=GET", nil, "Authorization", "Bearer "+adminToken, "Accept", "application/json"); w.Code != 422 || !strings.Contains(w.Body.String(), "No user is named") {
		t.Errorf("JSON: %d %s", w.Code, w.Body)
	}
}

func TestRefusalsAreFiltered(t *testing.T) {
	t.Parallel()
	p := newOperatorPort(t, config.StoreRedis)
	for i, r := range []audit.Record{
		{Email: "bob@example.com", Upstream: "argocd", Reason: "denied"},
		{Email: "Bob@example.com", Upstream: "workflows", Reason: "denied"},
		{Email: "malbob@example.com", Upstream: "argocd", Reason: "denied"},
		{Upstream: "argocd", Reason: "login_expired", Event: audit.LoginFailed},
	} {
		r.Decision, r.ID, r.Path = audit.Deny, fmt.Sprintf("id-%d", i), "/<script>"
		p.records.Write(r)
	}
	for query, want := range map[string]string{
		"": "id-3 id-2 id-1 id-0", "?user=&upstream=&reason=": "id-3 id-2 id-1 id-0", "?user=bob@example.com": "id-1 id-0",
		"?user=bob@example.com&upstream=argocd": "id-0", "?upstream=argocd": "id-3 id-2 id-0", "?reason=login_expired": "id-3",
		"?reason=denied&upstream=workflows": "id-1", "?user=carol@example.com": "", "?upstream=nope": "", "?user=bob": "", "?id=id-2": "id-2",
		"?user=a&user=b": "400", "?usr=bob@example.com": "400", "?user=%zz": "400",
	} {
		w := p.send("/refusals"+query, nil, "Authorization", "Bearer "+adminToken, "Accept", "application/json")
		got := strings.Join(idPattern.FindAllString(w.Body.String(), -1), " ")
		if w.Code != 200 {
			got = fmt.Sprint(w.Code)
		}
		if got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
		if w := p.send("/refusals"+query, nil, "Authorization", "Bearer "+adminToken); strings.Contains(w.Body.String(), "<script>") ||
			want != "400" && !strings.Contains(w.Body.String(), fmt.Sprintf(">%d refusal", len(strings.Fields(want)))) {
			t.Errorf("%s: %s", query, w.Body)
		}
	}
}

var idPattern = regexp.MustCompile(`id-\d`)

func TestSessionsAreRevokedFromThePage(t *testing.T) {
	t.Parallel()
	p := newOperatorPort(t, config.StoreRedis)
	c := cookieHeader(p.signIn(t))
	w := p.send("/sessions", nil, "Cookie", c)
	csrf := csrfOn(t, w)
	if body := w.Body.String(); !strings.Contains(body, "alice@example.com") || !strings.Contains(body, `name="id" value="s2"`) || strings.Contains(body, "hunter2") {
		t.Errorf("the list: %s", body)
	}
	if w := p.send("/sessions?user=bob@example.com", nil, "Cookie", c); strings.Contains(w.Body.String(), "alice@") || !strings.Contains(w.Body.String(), "bob@") {
		t.Errorf("the list of one user: %s", w.Body)
	}
	for what, form := range map[string]url.Values{
		"no csrf": {"id": {"s1"}}, "another csrf": {"id": {"s1"}, "csrf": {"x"}}, "an empty csrf": {"id": {"s1"}, "csrf": {""}},
	} {
		if w := p.send("/sessions/revoke", form, "Cookie", c); w.Code != http.StatusForbidden || len(p.store.revoked) > 0 || !strings.Contains(w.Body.String(), "<h1>") {
			t.Errorf("%s: %d %s", what, w.Code, w.Body)
		}
	}
	if w := p.send("/sessions/revoke?csrf="+csrf, url.Values{"id": {"s1"}}, "Cookie", c); w.Code != http.StatusForbidden || len(p.store.revoked) > 0 {
		t.Errorf("a csrf value in the address: %d", w.Code)
	}
	if w := p.send("/sessions/revoke", url.Values{"id": {"s1"}, "csrf": {csrf}}); w.Code != http.StatusUnauthorized || len(p.store.revoked) > 0 {
		t.Errorf("without the cookie: %d", w.Code)
	}
	for what, form := range map[string]url.Values{
		"nothing": {}, "an empty id": {"id": {""}}, "an empty user": {"user": {" "}}, "all": {"all": {"1"}}, "two": {"id": {"s1"}, "user": {"bob@example.com"}},
		"another key": {"email": {"bob@example.com"}}, "twice": {"id": {"s1", "s2"}},
	} {
		form.Set("csrf", csrf)
		if w := p.send("/sessions/revoke", form, "Cookie", c); w.Code != http.StatusBadRequest || len(p.store.revoked) > 0 {
			t.Errorf("%s: %d %v", what, w.Code, p.store.revoked)
		}
	}
	w = p.send("/sessions/revoke", url.Values{"id": {"s1"}, "csrf": {csrf}}, "Cookie", c)
	if w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/sessions?revoked=1" || len(p.store.revoked) != 1 || p.store.revoked[0].ID != "s1" {
		t.Errorf("revoking: %d %v %v", w.Code, w.Header(), p.store.revoked)
	}
	if w := p.send("/sessions?revoked=1", nil, "Cookie", c); !strings.Contains(w.Body.String(), "1 session ended") {
		t.Errorf("after it: %s", w.Body)
	}
	if w := p.send("/sessions/revoke", url.Values{"id": {"s9"}, "csrf": {csrf}}, "Cookie", c); w.Code != http.StatusNotFound || !strings.Contains(w.Body.String(), "<h1>") {
		t.Errorf("an unknown session: %d %s", w.Code, w.Body)
	}
	w = p.send("/sessions/revoke", url.Values{"user": {"alice@example.com"}}, "Authorization", "Bearer "+adminToken, "Accept", "*/*")
	if w.Code != http.StatusOK || w.Body.String() != `{"revoked":2,"scope":"everywhere"}`+"\n" {
		t.Errorf("with the header: %d %s", w.Code, w.Body)
	}
	r := httptest.NewRequest("DELETE", "/sessions/s1", nil)
	r.Header.Set("Cookie", c)
	rec := httptest.NewRecorder()
	if p.ServeHTTP(rec, r); rec.Code != http.StatusUnauthorized {
		t.Errorf("DELETE with the cookie alone: %d", rec.Code)
	}
}

func TestSessionsPageSaysWhatRevokingMeansForCookies(t *testing.T) {
	t.Parallel()
	p := newOperatorPort(t, config.StoreCookie)
	c := cookieHeader(p.signIn(t))
	w := p.send("/sessions", nil, "Cookie", c)
	if w.Code != 200 || !strings.Contains(w.Body.String(), "this process alone") || !strings.Contains(w.Body.String(), "replace the session keys") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	w = p.send("/sessions/revoke", url.Values{"user": {"alice@example.com"}, "csrf": {csrfOn(t, w)}}, "Cookie", c)
	if w.Code != http.StatusSeeOther || len(p.store.revoked) != 1 {
		t.Errorf("revoking: %d %v", w.Code, p.store.revoked)
	}
}

func TestSessionsPageSaysThatTheStoreIsDown(t *testing.T) {
	t.Parallel()
	p := newOperatorPort(t, config.StoreRedis)
	p.store.err = fmt.Errorf("%w: dial 10.0.0.7", session.ErrStoreDown)
	w := p.send("/sessions", nil, "Authorization", "Bearer "+adminToken)
	if w.Code != 503 || !strings.Contains(w.Body.String(), "store is not responding") || strings.Contains(w.Body.String(), "10.0.0.7") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestManyLoginsReplaceTheOldest(t *testing.T) {
	t.Parallel()
	p := newOperatorPort(t, config.StoreRedis)
	first := p.signIn(t)
	for range maxLogins {
		p.now = p.now.Add(time.Second)
		p.signIn(t)
	}
	if w := p.send("/", nil, "Cookie", cookieHeader(first)); w.Code != http.StatusUnauthorized || len(p.handler.logins.byDigest) != maxLogins {
		t.Errorf("%d, %d logins", w.Code, len(p.handler.logins.byDigest))
	}
}

func TestOverTLSTheCookieIsSecure(t *testing.T) {
	t.Parallel()
	p := newOperatorPort(t, config.StoreRedis)
	r := httptest.NewRequest("POST", "https://admin.example.com/login", strings.NewReader("token="+adminToken))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	p.ServeHTTP(w, r)
	if c := w.Result().Cookies()[0]; !c.Secure || !strings.HasPrefix(c.Name, "__Host-") {
		t.Errorf("%v", c)
	}
}

// slowTools never answer while a test holds them.
type slowTools struct {
	fakeTools
	release chan struct{}
}

func (s slowTools) Lint([]policy.Source) []Finding { <-s.release; panic("a bug in lint") }

func TestAnAnalysisThatTakesLongOrFailsHoldsNothingUp(t *testing.T) {
	t.Parallel()
	p := newOperatorPort(t, config.StoreRedis)
	tools := slowTools{release: make(chan struct{})}
	p.handler.analyses.tools = tools
	if w := p.send("/", nil, "Authorization", "Bearer "+adminToken); w.Code != 200 || !strings.Contains(w.Body.String(), "being worked out") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	close(tools.release)
	<-p.handler.analyses.results[p.status.Policy.Snapshot].done
	if w := p.send("/", nil, "Authorization", "Bearer "+adminToken); w.Code != 200 || !strings.Contains(w.Body.String(), "The log has the reason") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
