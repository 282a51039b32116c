package dashboards

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"
	"github.com/improbable-eng/grpc-web/go/grpcweb"
)

// application is as much of Argo CD's object as its own list page needs.
type application struct {
	Metadata struct {
		Name      string `json:"name"`
		Namespace string `json:"namespace"`
	} `json:"metadata"`
	Spec struct {
		Project string `json:"project"`
		Source  struct {
			RepoURL string `json:"repoURL"`
			Path    string `json:"path"`
		} `json:"source"`
	} `json:"spec"`
	Status struct {
		Sync struct {
			Status   string `json:"status"`
			Revision string `json:"revision"`
		} `json:"sync"`
		Health struct {
			Status string `json:"status"`
		} `json:"health"`
	} `json:"status"`
}

func newApplication(name, project, status string) *application {
	var a application
	a.Metadata.Name, a.Metadata.Namespace = name, "argocd"
	a.Spec.Project = project
	a.Spec.Source.RepoURL, a.Spec.Source.Path = "https://github.com/example-org/deploy", name
	a.Status.Sync.Status, a.Status.Sync.Revision = status, "4a1f09c"
	a.Status.Health.Status = "Healthy"
	return &a
}

type argoCD struct {
	links Links
	check Credential
	feed  *feed
	mu    sync.Mutex
	apps  []*application
	syncs int
}

// version is what its calls of that name say.
var version = map[string]string{"Version": "v3.6.0+sample"}

// ArgoCD is the dashboard on which Dex also lives: below /api/dex/, which is
// where users' browsers meet it. dexURL is Dex's own address, without path. A nil
// check lets every user do everything.
func ArgoCD(log *slog.Logger, dexURL string, links Links, check Credential) (Dashboard, error) {
	to, err := url.Parse(dexURL)
	if err != nil {
		return Dashboard{}, fmt.Errorf("parsing Dex's address: %w", err)
	}
	d := &argoCD{links: links, check: check, feed: newFeed(), apps: []*application{
		newApplication("guestbook", "default", "OutOfSync"),
		newApplication("payments", "shop", "Synced"),
		newApplication("web-frontend", "shop", "OutOfSync"),
	}}
	rpc := d.newRPC()
	mux := http.NewServeMux()
	mux.Handle("/api/dex/", dexBehind(log, to))
	mux.Handle("/api/", onlyJSONWrites(guarded(check, d.calls(), "/api/v1/")))
	mux.HandleFunc("POST /api/webhook", webhook)
	mux.Handle("GET /assets/", static())
	mux.HandleFunc("GET /{$}", d.page)
	mux.HandleFunc("GET /applications", d.page)
	mux.HandleFunc("GET /applications/{name}", d.page)
	mux.HandleFunc("GET /login", d.loginPage)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok")) })
	mux.Handle("GET /terminal", guarded(check, http.HandlerFunc(d.terminal), "/"))
	mux.Handle("/extensions/", guarded(check, http.HandlerFunc(extension), "/"))
	return Dashboard{HTTP: switcher(grpcweb.WrapServer(rpc), keepTogether(mux)), RPC: rpc}, nil
}

// calls are some of server/application/application.proto, and of its neighbours.
func (d *argoCD) calls() http.Handler {
	g := newGateway()
	g.handle("GET", "/api/version", func(w http.ResponseWriter, _ *http.Request, _ map[string]string) {
		writeJSON(w, http.StatusOK, version)
	})
	g.handle("GET", "/api/v1/session/userinfo", d.userinfo)
	g.handle("GET", "/api/v1/applications", d.list)
	g.handle("GET", "/api/v1/applications/{name}", d.get)
	g.handle("DELETE", "/api/v1/applications/{name}", d.remove)
	g.handle("POST", "/api/v1/applications/{name}/sync", d.sync)
	g.handle("GET", "/api/v1/stream/applications", d.stream)
	g.handle("GET", "/api/v1/clusters/{id.value}", named("id.value"))
	g.handle("GET", "/api/v1/repositories/{repo}", named("repo"))
	return g.mux
}

// switcher recognises gRPC-web by exactly one Content-Type, whatever the path
// (server/server.go, handlerSwitcher).
func switcher(web, rest http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Content-Type") == "application/grpc-web+proto" {
			web.ServeHTTP(w, r)
			return
		}
		rest.ServeHTTP(w, r)
	})
}

// togetherBelow are the paths where a %2F does not split (server/server.go,
// pathPatters).
var togetherBelow = regexp.MustCompile(`/api/v1/clusters/[^/]+|/api/v1/repositories/[^/]+|/api/v1/repocreds/[^/]+|/settings/clusters/[^/]+`)

// keepTogether has such a path routed as it was written; what it names is unescaped
// where it is read (server/server.go, bug21955Workaround).
func keepTogether(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if togetherBelow.MatchString(r.URL.RawPath) {
			r.URL.Path = r.URL.RawPath
		}
		h.ServeHTTP(w, r)
	})
}

// named answers with what the path names.
func named(parameter string) call {
	return func(w http.ResponseWriter, _ *http.Request, parameters map[string]string) {
		name, err := url.QueryUnescape(parameters[parameter])
		if err != nil {
			refuse(w, http.StatusBadRequest, 3, err.Error())
			return
		}
		writeJSON(w, http.StatusOK, map[string]string{"name": name})
	}
}

// webhook gives back what it was sent: the real one checks a signature of every byte.
func webhook(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(w, http.MaxBytesReader(w, r.Body, 1<<20))
}

func extension(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, map[string]string{"extension": "sample"})
}

// dexBehind passes requests to Dex. argocd-server turns Dex's 500, which is all
// that Dex sends to a user whom it does not admit, into a way back to its own
// login page (argo-cd util/dex/dex.go); the sample does as it does.
func dexBehind(log *slog.Logger, to *url.URL) http.Handler {
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(to)
			r.Out.Host = r.In.Host
		},
		ModifyResponse: func(res *http.Response) error {
			if res.StatusCode == http.StatusInternalServerError {
				_ = res.Body.Close()
				res.Body, res.ContentLength = http.NoBody, 0
				res.StatusCode, res.Status = http.StatusSeeOther, ""
				res.Header = http.Header{"Location": {"/login?has_sso_error=true"}}
			}
			return nil
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			log.Debug("Dex cannot be reached", "error", err)
			http.Error(w, "Dex cannot be reached", http.StatusBadGateway)
		},
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}

// onlyJSONWrites is Argo CD's protection from forms of other sites: whatever is
// not a GET must be application/json, DELETE and empty bodies included.
func onlyJSONWrites(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && !strings.EqualFold(r.Header.Get("Content-Type"), "application/json") {
			refuse(w, http.StatusUnsupportedMediaType, 3, "Invalid content type")
			return
		}
		h.ServeHTTP(w, r)
	})
}

func (d *argoCD) page(w http.ResponseWriter, r *http.Request) {
	renderPage(w, "argocd.html", map[string]any{"Identity": readIdentityHeaders(r), "As": d.check.as(r), "Links": d.links})
}

func (d *argoCD) loginPage(w http.ResponseWriter, r *http.Request) {
	renderPage(w, "login.html", map[string]any{
		"Failed": r.URL.Query().Get("has_sso_error") == "true", "Links": d.links,
	})
}

func (d *argoCD) userinfo(w http.ResponseWriter, r *http.Request, _ map[string]string) {
	t := readIdentityHeaders(r)
	writeJSON(w, http.StatusOK, map[string]any{
		"loggedIn": t.User != "", "username": t.Name(), "iss": "", "groups": t.Groups,
	})
}

func (d *argoCD) list(w http.ResponseWriter, _ *http.Request, _ map[string]string) {
	writeJSON(w, http.StatusOK, d.all())
}

func (d *argoCD) get(w http.ResponseWriter, _ *http.Request, parameters map[string]string) {
	answerApplication(w, d.find(parameters["name"]))
}

func (d *argoCD) sync(w http.ResponseWriter, _ *http.Request, parameters map[string]string) {
	answerApplication(w, d.syncNow(parameters["name"]))
}

func (d *argoCD) remove(w http.ResponseWriter, _ *http.Request, parameters map[string]string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.apps = slices.DeleteFunc(d.apps, func(a *application) bool { return a.Metadata.Name == parameters["name"] })
	writeJSON(w, http.StatusOK, map[string]any{})
}

func (d *argoCD) stream(w http.ResponseWriter, r *http.Request, _ map[string]string) {
	d.feed.serve(w, r, d.now)
}

func answerApplication(w http.ResponseWriter, a *application) {
	if a == nil {
		refuse(w, http.StatusNotFound, 5, "application not found")
		return
	}
	writeJSON(w, http.StatusOK, a)
}

// What follows is behind both faces, and gives copies.

func (d *argoCD) all() map[string]any {
	d.mu.Lock()
	defer d.mu.Unlock()
	items := make([]application, 0, len(d.apps))
	for _, a := range d.apps {
		items = append(items, *a)
	}
	return map[string]any{"metadata": map[string]any{}, "items": items}
}

// find gives nil where there is no such application.
func (d *argoCD) find(name string) *application { return d.change(name, func(*application) {}) }

func (d *argoCD) syncNow(name string) *application {
	return d.change(name, func(a *application) {
		d.syncs++
		a.Status.Sync.Status = "Synced"
		a.Status.Sync.Revision = fmt.Sprintf("%07x", 0x4a1f09c+d.syncs)
		d.feed.publish("MODIFIED", "application", a)
	})
}

func (d *argoCD) change(name string, how func(*application)) *application {
	d.mu.Lock()
	defer d.mu.Unlock()
	i := slices.IndexFunc(d.apps, func(a *application) bool { return a.Metadata.Name == name })
	if i < 0 {
		return nil
	}
	how(d.apps[i])
	a := *d.apps[i]
	return &a
}

// now is what a stream begins with.
func (d *argoCD) now() [][]byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	var events [][]byte
	for _, a := range d.apps {
		events = append(events, wrap("ADDED", "application", a))
	}
	return events
}

// frame is a message of Argo CD's terminal protocol.
type frame struct {
	Operation string `json:"operation"` // stdin, stdout, resize
	Data      string `json:"data"`
	Rows      int    `json:"rows,omitempty"`
	Cols      int    `json:"cols,omitempty"`
}

// terminal echoes. Like the real one it checks no Origin: that is left to what
// stands in front.
func (d *argoCD) terminal(w http.ResponseWriter, r *http.Request) {
	c, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
	if err != nil {
		return // Accept has answered
	}
	defer c.CloseNow() // ends whatever the loop left open
	ctx, cancel := context.WithTimeout(r.Context(), time.Hour)
	defer cancel()
	say := func(text string) error {
		return wsjson.Write(ctx, c, frame{Operation: "stdout", Data: text})
	}
	if say("sample terminal of "+readIdentityHeaders(r).Name()+": it repeats what you type\r\n") != nil {
		return
	}
	for {
		var f frame
		if err := wsjson.Read(ctx, c, &f); err != nil {
			return
		}
		if f.Operation == "stdin" && say(f.Data) != nil {
			return
		}
	}
}
