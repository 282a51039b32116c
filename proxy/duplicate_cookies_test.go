package proxy_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/example-org/authgate/config"
	"github.com/example-org/authgate/login"
	"github.com/example-org/authgate/proxy"
	"github.com/example-org/authgate/session"
	"github.com/example-org/authgate/session/cookiestore"
	"github.com/example-org/authgate/session/seal"
)

// storedCookie is a cookie as a browser stores it (RFC 6265bis, 5.7).
type storedCookie struct {
	name, domain, path string
	hostOnly           bool
}

// cookieJar is a browser's. Older clients do not tell a cookie of a host from one of a
// domain of that name (RFC 6265, 5.3).
type cookieJar struct {
	older   bool
	cookies map[storedCookie]string
	order   []storedCookie // as they were first set: browsers send them so
}

func (j *cookieJar) key(k storedCookie) storedCookie {
	if j.older {
		k.hostOnly = false
	}
	return k
}

func (j *cookieJar) set(host string, secure bool, c *http.Cookie) {
	k := storedCookie{name: c.Name, domain: host, path: c.Path, hostOnly: c.Domain == ""}
	if c.Domain != "" {
		k.domain = strings.TrimPrefix(c.Domain, ".")
		if host != k.domain && !strings.HasSuffix(host, "."+k.domain) || !strings.Contains(k.domain, ".") {
			return
		}
	}
	if strings.HasPrefix(c.Name, "__Host-") && (!secure || !c.Secure || c.Domain != "" || c.Path != "/") || c.Secure && !secure {
		return
	}
	k = j.key(k)
	if c.MaxAge < 0 {
		delete(j.cookies, k)
		j.order = slices.DeleteFunc(j.order, func(o storedCookie) bool { return o == k })
		return
	}
	if _, has := j.cookies[k]; !has {
		j.order = append(j.order, k)
	}
	j.cookies[k] = c.Value
}

// sent gives the cookies that go with a request.
func (j *cookieJar) sent(host, path string) (names, pairs []string) {
	for _, k := range j.order {
		if (k.hostOnly && host == k.domain || !k.hostOnly && (host == k.domain || strings.HasSuffix(host, "."+k.domain))) && strings.HasPrefix(path, k.path) {
			names, pairs = append(names, k.name), append(pairs, k.name+"="+j.cookies[k])
		}
	}
	return names, pairs
}

// person is a user at a browser, whatever authgate is behind the host.
type person struct {
	cookieJar
	t      *testing.T
	who    string
	host   string
	secure bool
	logins int
}

func (p *person) get(g *gate, path string) *http.Response {
	p.t.Helper()
	bare, _, _ := strings.Cut(path, "?")
	_, pairs := p.sent(p.host, bare)
	head := "GET " + path + " HTTP/1.1\r\nHost: " + p.host + "\r\nConnection: close\r\nAccept: text/html\r\n"
	if p.secure {
		head += "X-Forwarded-Proto: https\r\n"
	}
	if len(pairs) > 0 {
		head += "Cookie: " + strings.Join(pairs, "; ") + "\r\n"
	}
	res := g.raw(head + "\r\n")
	for _, c := range res.Cookies() {
		p.set(p.host, p.secure, c)
	}
	return res
}

// open opens a page and goes through the login where it is led to it.
func (p *person) open(g *gate, path string) *http.Response {
	p.t.Helper()
	for range 12 {
		res := p.get(g, path)
		to, err := url.Parse(res.Header.Get("Location"))
		if err != nil {
			p.t.Fatal(err)
		}
		switch {
		case to.String() == "":
			return res
		case to.Host == "dex.example.com":
			p.logins++
			path = "/oauth2/callback?" + url.Values{"code": {p.who}, "state": {to.Query().Get("state")}}.Encode()
		default:
			path = to.RequestURI()
		}
	}
	p.t.Fatal("no end of redirects")
	return nil
}

func (p *person) isWho(g *gate) string {
	p.t.Helper()
	p.open(g, "/oauth2/userinfo") // a login leads to the start page
	page := body(p.t, p.open(g, "/oauth2/userinfo"))
	for name, who := range people {
		if strings.Contains(page, who.Subject) {
			return name
		}
	}
	return page
}

// sharing keeps sessions in a cookie of these settings.
func sharing(c config.Cookie) func(*proxy.Options) {
	return func(o *proxy.Options) { o.Config.Session.Cookie = c }
}

// Whatever changes of the settings of sessions, the worst is one more login.
func TestChangedSettingsOfSessionsCostOneLoginAtMost(t *testing.T) {
	t.Parallel()
	settings := map[string]config.Cookie{
		"host only":    {Name: "authgate", SameSite: config.SameSiteLax},
		"the host":     {Name: "authgate", SameSite: config.SameSiteLax, Domain: "argo-cd.example.com"},
		"the domain":   {Name: "authgate", SameSite: config.SameSiteLax, Domain: "example.com"},
		"another name": {Name: "login", SameSite: config.SameSiteLax, Domain: "example.com"},
	}
	first, sameKeys, otherKeys := map[string]*gate{}, map[string]*gate{}, map[string]*gate{}
	ring := newGateTo(t, brokenUpstream(t)).ring
	for what, c := range settings {
		same := login.Options{Keyring: ring}
		first[what] = newGateWith(t, same, "127.0.0.1/32", brokenUpstream(t), sharing(c))
		sameKeys[what] = newGateWith(t, same, "127.0.0.1/32", brokenUpstream(t), sharing(c))
		otherKeys[what] = newGateTo(t, brokenUpstream(t), sharing(c))
	}
	for from, one := range first {
		for to := range settings {
			for keys, two := range map[string]*gate{"same keys": sameKeys[to], "other keys": otherKeys[to]} {
				for _, secure := range []bool{true, false} {
					for _, older := range []bool{true, false} {
						what := fmt.Sprintf("%s to %s, %s, https %t, older browser %t", from, to, keys, secure, older)
						changeSettings(t, what, one, two, secure, older)
					}
				}
			}
		}
	}
}

// changeSettings has a user come to an authgate with other settings, and back, as a
// rollout does that is taken back.
func changeSettings(t *testing.T, what string, one, two *gate, secure, older bool) {
	t.Helper()
	p := &person{cookieJar: cookieJar{older: older, cookies: map[storedCookie]string{}}, t: t, who: "alice", host: argoHost, secure: secure}
	for round, g := range []*gate{one, two, one, two} {
		p.logins = 0
		for range 3 {
			if who := p.isWho(g); who != "alice" {
				t.Fatalf("%s: round %d: %s", what, round, who)
			}
		}
		if p.logins > 1 {
			t.Errorf("%s: round %d: %d logins", what, round, p.logins)
		}
		names, _ := p.sent(argoHost, "/")
		if slices.Sort(names); len(slices.Compact(slices.Clone(names))) != len(names) {
			t.Errorf("%s: round %d: the browser keeps %q", what, round, names)
		}
	}
}

// domainGate has sessions that siblings below example.com could plant.
func domainGate(t *testing.T) *gate {
	t.Helper()
	return newGateTo(t, brokenUpstream(t), sharing(config.Cookie{Name: "authgate", SameSite: config.SameSiteLax, Domain: "example.com"}))
}

// planted gives the value of a cookie of a user's own session, sealed by a gate's keys.
func (g *gate) planted(t *testing.T, who string, keys *seal.Keyring) string {
	t.Helper()
	jar := proxy.NewSessionCookie(config.Cookie{Name: "authgate", SameSite: config.SameSiteLax, Domain: "example.com"})
	cookies := cookiestore.New(cookiestore.Options{Cookie: jar, Keyring: keys})
	w := httptest.NewRecorder()
	if _, err := cookies.Create(t.Context(), w, nil, session.New(granted(people[who]), time.Now(), time.Hour), true); err != nil {
		t.Fatal(err)
	}
	return w.Result().Cookies()[0].Value
}

func TestAPlantedSessionIsNeverActedWith(t *testing.T) {
	t.Parallel()
	for what, plant := range map[string]*http.Cookie{
		"for the host":        {Path: "/", Domain: argoHost},
		"for a path":          {Path: "/oauth2/userinfo", Domain: "example.com"},
		"for a path above it": {Path: "/oauth2", Domain: argoHost},
	} {
		for _, rotated := range []bool{false, true} {
			g := domainGate(t)
			p := &person{cookieJar: cookieJar{cookies: map[storedCookie]string{}}, t: t, who: "alice", host: argoHost, secure: true}
			if who := p.isWho(g); who != "alice" {
				t.Fatal(who)
			}
			if rotated { // her own cookie no longer opens; his does
				keys, err := seal.ParseKeys(seal.NewKey())
				if err != nil {
					t.Fatal(err)
				}
				g.ring.Set(keys)
			}
			planted := *plant
			planted.Name, planted.Value, planted.Secure = "authgate", g.planted(t, "bob", g.ring), true
			p.set(p.host, true, &planted)
			res := p.get(g, "/oauth2/userinfo")
			if page := body(t, res); strings.Contains(page, "bob") || res.StatusCode != http.StatusFound {
				t.Errorf("%s, rotated %t: %d %s", what, rotated, res.StatusCode, page)
			}
			if who := p.isWho(g); who != "alice" {
				t.Errorf("%s, rotated %t: after signing in again: %s", what, rotated, who)
			}
			if p.logins != 2 {
				t.Errorf("%s, rotated %t: %d logins", what, rotated, p.logins)
			}
		}
	}
}

func TestClientsThatAreNoBrowserAreToldOfTheConflictAndLoseTheCookies(t *testing.T) {
	t.Parallel()
	g := domainGate(t)
	two := []string{"Cookie", "authgate=" + g.planted(t, "alice", g.ring) + "; authgate=" + g.planted(t, "bob", g.ring)}
	res := g.do("GET", app, two)
	expect(t, "a script", res, http.StatusUnauthorized)
	if page := body(t, res); !strings.Contains(page, "ambiguous_session") {
		t.Error(page)
	}
	domains := map[string]bool{}
	for _, c := range res.Cookies() {
		if c.MaxAge >= 0 || c.Name != "authgate" || !c.Secure {
			t.Errorf("%v", c)
		}
		domains[c.Domain] = true
	}
	if !domains[""] || !domains[argoHost] || !domains["example.com"] || domains["com"] {
		t.Errorf("taken for %v", domains)
	}
}

func TestWhatIsNoSessionDisturbsNone(t *testing.T) {
	t.Parallel()
	g := domainGate(t)
	alice := "authgate=" + g.planted(t, "alice", g.ring)
	for _, junk := range []string{"x", "", "planted", "1", "1<script>", "9AAAA", strings.Repeat("A", 5000)} {
		for _, both := range []string{alice + "; authgate=" + junk, "authgate=" + junk + "; " + alice} {
			expect(t, junk, g.do("GET", own+"/userinfo", []string{"Cookie", both}), http.StatusOK)
		}
	}
	expect(t, "the same twice", g.do("GET", own+"/userinfo", []string{"Cookie", alice + "; " + alice}), http.StatusOK)
	many := alice
	for range 9 {
		many += "; authgate=" + g.planted(t, "alice", g.ring)
	}
	expect(t, "many", g.do("GET", own+"/userinfo", []string{"Cookie", many}), http.StatusUnauthorized)
}

func TestASignOutWithCookiesThatContradictEachOtherTakesAllOfThem(t *testing.T) {
	t.Parallel()
	g := domainGate(t)
	p := &person{cookieJar: cookieJar{cookies: map[storedCookie]string{}}, t: t, who: "alice", host: argoHost, secure: true}
	for domain, who := range map[string]string{"example.com": "alice", argoHost: "bob", "": "carol"} {
		p.set(argoHost, true, &http.Cookie{Name: "authgate", Value: g.planted(t, who, g.ring), Path: "/", Domain: domain, Secure: true})
	}
	_, pairs := p.sent(argoHost, "/")
	res := g.do("POST", own+"/sign_out", sameSite, []string{"Cookie", strings.Join(pairs, "; ")})
	for _, c := range res.Cookies() {
		p.set(argoHost, true, c)
	}
	if names, _ := p.sent(argoHost, "/"); len(names) > 0 {
		t.Errorf("the browser keeps %q", names)
	}
}
