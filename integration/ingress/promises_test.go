package ingress_test

import (
	"net/http"
	"slices"
	"strings"

	"github.com/coder/websocket/wsjson"

	"github.com/example-org/authgate/integration/visitor"
)

// escaped is how servers in Go spell some paths.
var escaped = map[string]string{"/applications/a|b": "/applications/a%7Cb", `/applications/"x"`: "/applications/%22x%22"}

// keepsThePromises tries what holds behind each ingress, with alice in many groups.
// Identity arrives in headers that begin with each of the prefixes.
func (d *ingress) keepsThePromises(prefixes ...string) {
	d.t.Helper()
	d.joinGroups("alice")
	alice, bob := d.signedIn("alice"), d.signedIn("bob")
	unknown, err := d.Visitor("")
	if err != nil {
		d.t.Fatal(err)
	}
	d.identityArrives(alice, prefixes)
	d.decides(alice, bob, unknown)
	d.dropsWhatClientsClaim(bob, unknown)
	d.ignoresMethodOverrides(alice, bob)
	d.keepsTerminals(alice, bob)
	d.forwardsWhatWasJudged(alice, bob, escaped)
	if a, err := bob.Submit(d.t.Context(), d.ArgoCD+"/oauth2/sign_out", nil); err != nil || a.Status != http.StatusOK {
		d.t.Errorf("signing out: %d %v", a.Status, err)
	}
	if a := d.fetch(bob, http.MethodGet, "/api/v1/applications"); a.Status != http.StatusUnauthorized {
		d.t.Errorf("bob, signed out: %d", a.Status)
	}
}

func (d *ingress) identityArrives(alice *visitor.Visitor, prefixes []string) {
	d.t.Helper()
	d.behind.saw()
	if a := d.fetch(alice, http.MethodGet, "/applications?a=b"); a.Status != http.StatusOK {
		d.t.Fatalf("alice: %d %.300s", a.Status, a.Body)
	}
	saw := d.behind.saw().Header
	for _, prefix := range prefixes {
		if saw.Get(prefix+"Email") != "alice@example.com" || saw.Get(prefix+"Preferred-Username") != "alice" || saw.Get(prefix+"User") == "" {
			d.t.Errorf("%s*: Argo CD saw %q", prefix, saw)
		}
		if n := len(strings.Split(saw.Get(prefix+"Groups"), ",")); n != manyGroups {
			d.t.Errorf("%sGroups: Argo CD saw %d", prefix, n)
		}
	}
	if saw.Get("X-Forwarded-For") != "127.0.0.1" || saw.Get("X-Forwarded-Proto") != "http" {
		d.t.Errorf("Argo CD saw %q of the connection", saw)
	}
}

func (d *ingress) decides(alice, bob, unknown *visitor.Visitor) {
	d.t.Helper()
	const sync = "/api/v1/applications/guestbook/sync"
	for name, ask := range map[string]struct {
		v       *visitor.Visitor
		method  string
		path    string
		headers []string
		status  int
	}{
		"alice writes":                       {alice, http.MethodPost, sync, nil, http.StatusOK},
		"a sibling dashboard writes for her": {alice, http.MethodPost, sync, []string{"Origin", d.Workflows, "Sec-Fetch-Site", "same-site"}, http.StatusForbidden},
		"bob reads":                          {bob, http.MethodGet, "/applications", nil, http.StatusOK},
		"bob writes":                         {bob, http.MethodPost, sync, nil, http.StatusForbidden},
		"bob where no rule is":               {bob, http.MethodGet, "/terminal", nil, http.StatusForbidden},
		"without a session":                  {unknown, http.MethodGet, "/applications", nil, http.StatusUnauthorized},
		"without a session, for all":         {unknown, http.MethodGet, "/assets/dashboard.css", nil, http.StatusOK},
	} {
		d.behind.saw()
		a := d.fetch(ask.v, ask.method, ask.path, ask.headers...)
		if a.Status != ask.status {
			d.t.Errorf("%s: %d, want %d: %.300s", name, a.Status, ask.status, a.Body)
		}
		if saw := d.behind.saw(); (saw != nil) != (ask.status == http.StatusOK) {
			d.t.Errorf("%s: %d, Argo CD saw %v", name, a.Status, saw)
		}
	}
	curl, err := visitor.Curl(d.t.Context(), http.MethodGet, d.ArgoCD+"/applications")
	if err != nil || curl.Status != http.StatusUnauthorized || curl.Header.Get("Location") != "" {
		d.t.Errorf("curl: %d to %q, %v", curl.Status, curl.Header.Get("Location"), err)
	}
	records, err := d.Files.ReadAudit()
	if err != nil {
		d.t.Fatal(err)
	}
	if last := records[len(records)-1]; last["method"] != "GET" || last["path"] != "/applications" || last["status"] != 401.0 || last["remote"] != "127.0.0.1" {
		d.t.Errorf("the audit's last line: %v", last)
	}
}

// dropsWhatClientsClaim sends each header alone, so that none hides another.
func (d *ingress) dropsWhatClientsClaim(bob, unknown *visitor.Visitor) {
	d.t.Helper()
	for who, ask := range map[string]struct {
		v    *visitor.Visitor
		path string
	}{"bob": {bob, "/applications"}, "without a session": {unknown, "/assets/dashboard.css"}} {
		for _, name := range append(slices.Clone(spoofs), "X-Rewrite-URL") { // nginx has the last refused
			d.behind.saw()
			a := d.fetch(ask.v, http.MethodGet, ask.path, name, "mallory")
			saw := d.behind.saw()
			if a.Status != http.StatusOK || saw == nil {
				d.t.Errorf("%s with %s: %d %.300s", who, name, a.Status, a.Body)
				continue
			}
			for arrived, values := range saw.Header {
				if strings.Contains(strings.Join(values, " "), "mallory") {
					d.t.Errorf("%s: Argo CD saw %s: %q", who, arrived, values)
				}
			}
		}
	}
	for _, own := range []string{"X-Forwarded-Uri", "X-Forwarded-Method", "X-Original-Method", "X-Original-URL"} {
		d.behind.saw()
		if a := d.fetch(unknown, http.MethodGet, "/applications", own, "/login"); a.Status != http.StatusUnauthorized || d.behind.saw() != nil {
			d.t.Errorf("without a session, with %s: %d", own, a.Status)
		}
	}
}

// ignoresMethodOverrides sends headers by which servers take one method for another.
func (d *ingress) ignoresMethodOverrides(alice, bob *visitor.Visitor) {
	d.t.Helper()
	for _, name := range []string{"X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "X_HTTP_Method_Override"} {
		d.behind.saw()
		a := d.fetch(alice, http.MethodGet, "/applications", name, "DELETE")
		saw := d.behind.saw()
		if a.Status != http.StatusOK || saw == nil {
			d.t.Errorf("%s: %d %.300s", name, a.Status, a.Body)
			continue
		}
		for arrived, values := range saw.Header {
			if strings.Contains(strings.Join(values, " "), "DELETE") {
				d.t.Errorf("Argo CD saw %s: %q", arrived, values)
			}
		}
		if a := d.fetch(bob, http.MethodPost, "/api/v1/applications/guestbook/sync", name, "GET"); a.Status != http.StatusForbidden || d.behind.saw() != nil {
			d.t.Errorf("bob's write with %s: %d", name, a.Status)
		}
	}
}

func (d *ingress) keepsTerminals(alice, bob *visitor.Visitor) {
	d.t.Helper()
	terminal := strings.Replace(d.ArgoCD, "http", "ws", 1) + "/terminal"
	c, a, err := alice.Dial(d.t.Context(), terminal, "")
	if err != nil {
		d.t.Fatalf("alice's terminal: %d %v", a.Status, err)
	}
	defer c.CloseNow() // nothing is left to say
	if err := wsjson.Write(d.t.Context(), c, map[string]string{"operation": "stdin", "data": "hello"}); err != nil {
		d.t.Fatal(err)
	}
	var got map[string]any
	if err := wsjson.Read(d.t.Context(), c, &got); err != nil {
		d.t.Errorf("nothing came back: %v", err)
	}
	for _, page := range []string{"https://evil.example.com", d.Workflows} {
		if _, a, err := alice.Dial(d.t.Context(), terminal, page); err == nil || a.Status != http.StatusForbidden {
			d.t.Errorf("alice's browser, for a page of %s: %d %v", page, a.Status, err)
		}
	}
	if _, a, err := bob.Dial(d.t.Context(), terminal, ""); err == nil || a.Status != http.StatusForbidden {
		d.t.Errorf("bob's terminal: %d %v", a.Status, err)
	}
}
